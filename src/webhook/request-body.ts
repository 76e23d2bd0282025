/** Reads the body of a request, within limits of size and time. */
import type { IncomingMessage } from 'node:http';
import { MAX_REVIEW_BYTES } from './admission-review.js';
import type { HeldBytes } from './held-bytes.js';

/** Most pods fit in it. */
const FIRST_BYTES = 16 * 1024;

export interface BodyLimits {
  readonly held: HeldBytes;
  /** For the arrival of the whole body. */
  readonly timeoutMs: number;
}

/** Whether the head declares a body that is too large. Node refuses a head whose length is no number. */
export function declaresTooMuch(request: IncomingMessage): boolean {
  return readLength(request) > MAX_REVIEW_BYTES;
}

/** The bytes that the head declares; 0 where it does not. */
function readLength({ headers }: IncomingMessage): number {
  return Number(headers['content-length'] ?? 0);
}

/**
 * Reads the whole body. Memory is taken as it arrives, not as it is declared. Each chunk is copied at once, so that it dies young:
 * kept until the body is whole, chunks would outlive young collections and fill memory until a full one.
 * @throws an error with `statusCode` 413 or 408; without, where the connection is lost.
 */
export function readBody(request: IncomingMessage, { held, timeoutMs }: BodyLimits): Promise<Buffer> {
  const declared = readLength(request) || MAX_REVIEW_BYTES;
  let body: Buffer = Buffer.allocUnsafe(Math.min(declared, FIRST_BYTES));
  let length = 0;
  return new Promise((resolve, reject) => {
    if (request.destroyed) {
      reject(createLostError());
      return;
    }
    const hold = held.hold(request.socket);
    hold.resize(body.length);
    const settle = (): void => {
      clearTimeout(timer);
      hold.release();
      request.off('data', take).off('end', finish).off('error', fail).off('close', lose);
    };
    const finish = (): void => {
      settle();
      resolve(body.subarray(0, length));
    };
    const fail = (error: Error): void => {
      settle();
      // What still comes is dropped with the connection.
      request.pause().on('error', () => undefined);
      reject(error);
    };
    const lose = (): void => fail(createLostError());
    const take = (chunk: Buffer): void => {
      const needed = length + chunk.length;
      if (needed > MAX_REVIEW_BYTES) {
        fail(createTooLargeError());
        return;
      }
      if (needed > body.length) {
        body = enlarge(body, length, Math.min(Math.max(declared, needed), 2 * needed));
        hold.resize(body.length);
      }
      length += chunk.copy(body, length);
    };
    const timer = setTimeout(
      () => fail(createBodyError(408, `the body did not come within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    request.on('data', take).once('end', finish).once('error', fail).once('close', lose);
  });
}

function enlarge(body: Buffer, length: number, size: number): Buffer {
  const larger = Buffer.allocUnsafe(size);
  body.copy(larger, 0, 0, length);
  return larger;
}

export function createTooLargeError(): Error {
  return createBodyError(
    413,
    `the body has more than ${MAX_REVIEW_BYTES} bytes, the most that an AdmissionReview may have`,
  );
}

function createLostError(): Error {
  return new Error('the connection was lost before the body was read');
}

function createBodyError(statusCode: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode });
}

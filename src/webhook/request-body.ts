/** Reads the body of a request, within limits of memory and time. */
import type { IncomingMessage } from 'node:http';
import type { HeldBytes } from './held-bytes.js';

/** Most pods fit in it. */
const FIRST_BYTES = 16 * 1024;

export interface BodyLimits {
  readonly held: HeldBytes;
  /** For the arrival of the whole body. */
  readonly timeoutMs: number;
}

/**
 * Reads the whole body, whose length was declared and found acceptable. Memory is taken as it arrives, not as it is declared. Each
 * chunk is copied at once, so that it dies young: kept until the body is whole, chunks would outlive young collections and fill
 * memory until a full one. Where there is no room for it, it is read to its end and dropped: a client whose connection breaks in the
 * middle of its request would not see the answer.
 * @throws an error with `statusCode` 408; without, where the connection is lost.
 */
export function readBody(request: IncomingMessage, { held, timeoutMs }: BodyLimits): Promise<Buffer | 'no-room'> {
  const declared = Number(request.headers['content-length']);
  let body: Buffer | undefined = Buffer.allocUnsafe(Math.min(declared, FIRST_BYTES));
  let length = 0;
  return new Promise((resolve, reject) => {
    if (request.destroyed) {
      reject(createLostError());
      return;
    }
    const isGivenUp = (): boolean => body === undefined;
    const hold = held.hold(request.socket, () => (body = undefined));
    hold.resize(body?.length ?? 0);
    const settle = (): void => {
      clearTimeout(timer);
      hold.release();
      request.off('data', take).off('end', finish).off('error', fail).off('close', lose);
    };
    const finish = (): void => {
      settle();
      resolve(body ?? 'no-room');
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
      if (body !== undefined && needed > body.length) {
        const size = Math.min(declared, 2 * needed);
        hold.resize(size);
        // It may be the one that had to make room.
        if (!isGivenUp()) body = enlarge(body, length, size);
      }
      if (body !== undefined) length += chunk.copy(body, length);
    };
    const timer = setTimeout(() => fail(createLateError(timeoutMs)), timeoutMs);
    request.on('data', take).once('end', finish).once('error', fail).once('close', lose);
  });
}

function enlarge(body: Buffer, length: number, size: number): Buffer {
  const larger = Buffer.allocUnsafe(size);
  body.copy(larger, 0, 0, length);
  return larger;
}

function createLostError(): Error {
  return new Error('the connection was lost before the body was read');
}

function createLateError(timeoutMs: number): Error {
  return Object.assign(new Error(`the body did not come within ${timeoutMs / 1000} s`), { statusCode: 408 });
}

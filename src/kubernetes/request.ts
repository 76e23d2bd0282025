/** One request with a whole answer, within a time and a number of bytes. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { ProductError } from '../errors.js';
import { type ApiAnswer, parseJson } from './answer.js';
import { JsonPicker, type PickerOptions } from './json-picker.js';
import { type Method, type RequestBody, type Transport, wrapFailure } from './transport.js';

export interface RequestOptions {
  readonly method: Method;
  readonly path: string;
  readonly body?: RequestBody;
  /** For the whole request, including a second attempt. */
  readonly timeoutMs: number;
}

/** What is read of an answer, and how much of it may come. */
export interface PickOptions extends PickerOptions {
  readonly timeoutMs: number;
  /** Of the whole answer; an answer with more is given up. Infinity is safe, since only what is wanted is kept. */
  readonly maxBytes: number;
}

/** What was wanted of an answer. */
export interface PickedAnswer extends ApiAnswer {
  /** Of the whole answer. */
  readonly bytes: number;
}

/** The answer has more bytes than it may have. */
export class AnswerTooLargeError extends ProductError {
  constructor(maxBytes: number) {
    super('kubernetes-api', `the answer has more than ${maxBytes} bytes`);
  }
}

/**
 * Of answers that are read whole, the largest are the webhook's configuration and its Secret: etcd takes 1.5 MiB, and only
 * those who administer the webhook may write them.
 */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** @throws ProductError `kubernetes-api` where no whole answer came. */
export function requestAnswer(transport: Transport, options: RequestOptions): Promise<ApiAnswer> {
  return requestWhole(transport, options, async (response) => ({
    status: response.statusCode ?? 0,
    body: parseJson(await readText(response)),
  }));
}

/**
 * Reads an answer of any size, of which only what is wanted is kept.
 * @throws AnswerTooLargeError for more than `maxBytes`; ProductError `kubernetes-api` where no whole answer came.
 */
export function pickAnswer(transport: Transport, path: string, options: PickOptions): Promise<PickedAnswer> {
  const { timeoutMs, maxBytes } = options;
  return requestWhole(transport, { method: 'GET', path, timeoutMs }, async (response) => {
    const picker = new JsonPicker(options);
    const bytes = await readChunks(response, maxBytes, (chunk) => picker.write(chunk));
    return { status: response.statusCode ?? 0, body: picker.end(), bytes };
  });
}

async function requestWhole<T>(
  transport: Transport,
  { method, path, body, timeoutMs }: RequestOptions,
  read: (response: IncomingMessage) => Promise<T>,
): Promise<T> {
  let request: ClientRequest | undefined;
  const attempt = async (): Promise<T> => {
    const onRequest = (sent: ClientRequest): void => {
      request = sent;
      // Credentials may come after the deadline, from a plug-in that hung.
      if (deadline.error !== undefined) sent.destroy(deadline.error);
    };
    return read(await transport.send({ method, path, body, onRequest }));
  };
  const deadline = startDeadline(timeoutMs, (error) => request?.destroy(error));
  const answer = attempt().catch((error: unknown) => {
    // The server closed an idle connection just as it was reused: try a new one.
    const isStale = request?.reusedSocket === true && (error as NodeJS.ErrnoException).code === 'ECONNRESET';
    if (isStale && method === 'GET') return attempt();
    throw error;
  });
  // After the deadline nothing awaits it, and a rejection would end the process.
  answer.catch(() => undefined);
  try {
    return await Promise.race([answer, deadline.passed]);
  } catch (error) {
    throw error instanceof AnswerTooLargeError ? error : wrapFailure(method, path, error);
  } finally {
    deadline.cancel();
  }
}

interface Deadline {
  /** Rejects once the time is over. */
  readonly passed: Promise<never>;
  /** Set once the time is over. */
  readonly error: Error | undefined;
  readonly cancel: () => void;
}

function startDeadline(timeoutMs: number, onPassed: (error: Error) => void): Deadline {
  let timer: NodeJS.Timeout | undefined;
  let isCancelled = false;
  let error: Error | undefined;
  const passed = new Promise<never>((_resolve, reject) => {
    const giveUp = (): void => {
      if (isCancelled) return;
      error = new Error(`no answer within ${timeoutMs / 1000} s`);
      reject(error);
      onPassed(error);
    };
    // An answer that has arrived, but is unread because the thread was busy, is not late.
    timer = setTimeout(() => setImmediate(giveUp), timeoutMs);
  });
  const cancel = (): void => {
    isCancelled = true;
    clearTimeout(timer);
  };
  return {
    passed,
    cancel,
    get error() {
      return error;
    },
  };
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  await readChunks(response, MAX_ANSWER_BYTES, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

/** @returns how many bytes came. */
async function readChunks(
  response: IncomingMessage,
  maxBytes: number,
  onChunk: (chunk: Buffer) => void,
): Promise<number> {
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new AnswerTooLargeError(maxBytes);
    onChunk(chunk);
  }
  return bytes;
}

/** One request with a whole answer, within a time. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { type ApiAnswer, parseJson } from './answer.js';
import { type Method, type RequestBody, type Transport, wrapFailure } from './transport.js';

export interface RequestOptions {
  readonly method: Method;
  readonly path: string;
  readonly body?: RequestBody;
  /** For the whole request, including a second attempt. */
  readonly timeoutMs: number;
}

/** A page of 500 service accounts has about a megabyte. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** @throws ProductError `kubernetes-api` where no whole answer came. */
export async function requestAnswer(transport: Transport, options: RequestOptions): Promise<ApiAnswer> {
  const { method, path, body, timeoutMs } = options;
  let request: ClientRequest | undefined;
  const attempt = async (): Promise<ApiAnswer> => {
    const onRequest = (sent: ClientRequest): void => {
      request = sent;
      // Credentials may come after the deadline, from a plug-in that hung.
      if (deadline.error !== undefined) sent.destroy(deadline.error);
    };
    const response = await transport.send({ method, path, body, onRequest });
    return { status: response.statusCode ?? 0, body: parseJson(await readText(response)) };
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
    throw wrapFailure(method, path, error);
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
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

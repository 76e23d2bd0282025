/**
 * The few requests that the webhook makes of the Kubernetes API server. Not client-node's own requests: see
 * docs/decisions/0007-kubernetes-client.md.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import { describeError, ProductError } from '../errors.js';
import { PRODUCT } from '../names.js';
import { VERSION } from '../version.js';
import type { Connection } from './connection.js';

export interface ApiAnswer {
  readonly status: number;
  /** The parsed JSON, or undefined where it is none. */
  readonly body: unknown;
}

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** The answer must have begun by then, milliseconds. */
  readonly connectMs: number;
  /** A connection on which nothing has come for so long is taken for dead, milliseconds. */
  readonly idleMs: number;
  /** What it throws ends the watch. */
  readonly onEvent: (event: unknown) => void;
}

/** All methods reject with a ProductError `kubernetes-api` where no whole answer came. */
export interface KubernetesApi {
  /** @param timeoutMs for the whole of it, milliseconds. */
  get(path: string, timeoutMs: number): Promise<ApiAnswer>;
  post(path: string, body: unknown, timeoutMs: number): Promise<ApiAnswer>;
  put(path: string, body: unknown, timeoutMs: number): Promise<ApiAnswer>;
  patch(path: string, contentType: string, body: unknown, timeoutMs: number): Promise<ApiAnswer>;
  /** Resolves when the server ends the watch, with the status of its answer. */
  watch(path: string, options: WatchOptions): Promise<number>;
}

/** A page of 500 service accounts has about a megabyte; one event far less. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_EVENT_CHARACTERS = 8 * 1024 * 1024;

interface Body {
  readonly text: string;
  readonly type: string;
}

function toJson(body: unknown, type = 'application/json'): Body {
  return { text: JSON.stringify(body), type };
}

/** @returns the API and `close`, which ends its connections. */
export function createKubernetesApi(connection: Connection): KubernetesApi & { close(): void } {
  const transport = connection.server.protocol === 'http:' ? http : https;
  const agent = new transport.Agent({ keepAlive: true, keepAliveMsecs: 15_000, maxFreeSockets: 4 });
  const prefix = connection.server.href.replace(/\/$/, '');

  /** Resolves with the answer's head, and hands the request to `onRequest` before anything is sent. */
  const send = async (
    method: string,
    path: string,
    body: Body | undefined,
    onRequest: (request: http.ClientRequest) => void,
  ): Promise<http.IncomingMessage> => {
    const options = await connection.authorize();
    return new Promise((resolve, reject) => {
      const request = transport.request(`${prefix}${path}`, {
        agent,
        ...options,
        method,
        headers: {
          ...(options.headers as http.OutgoingHttpHeaders | undefined),
          accept: 'application/json',
          'user-agent': `${PRODUCT}/${VERSION}`,
          ...(body !== undefined && { 'content-type': body.type, 'content-length': Buffer.byteLength(body.text) }),
        },
      });
      request.on('response', resolve).on('error', reject);
      onRequest(request);
      request.end(body?.text);
    });
  };

  const ask = async (method: string, path: string, timeoutMs: number, body?: Body): Promise<ApiAnswer> => {
    let request: http.ClientRequest | undefined;
    let timer: NodeJS.Timeout | undefined;
    let isSettled = false;
    const late = new Promise<never>((_resolve, reject) => {
      const giveUp = (): void => {
        if (isSettled) return;
        const error = new Error(`no answer within ${timeoutMs / 1000} s`);
        reject(error);
        request?.destroy(error);
      };
      // An answer that waits to be read, the thread being busy with something else, is not late.
      timer = setTimeout(() => setImmediate(giveUp), timeoutMs);
    });
    const attempt = async (): Promise<ApiAnswer> => {
      const response = await send(method, path, body, (sent) => (request = sent));
      return { status: response.statusCode ?? 0, body: parseJson(await readText(response)) };
    };
    const answer = attempt().catch((error: unknown) => {
      // The server closed a connection of the pool just as it was used: nothing is wrong, a fresh one will do.
      const isStale = request?.reusedSocket === true && (error as NodeJS.ErrnoException).code === 'ECONNRESET';
      if (isStale && method === 'GET') return attempt();
      throw error;
    });
    answer.catch(() => undefined);
    try {
      return await Promise.race([answer, late]);
    } catch (error) {
      throw failure(method, path, error);
    } finally {
      isSettled = true;
      clearTimeout(timer);
    }
  };

  return {
    get: (path, timeoutMs) => ask('GET', path, timeoutMs),
    post: (path, body, timeoutMs) => ask('POST', path, timeoutMs, toJson(body)),
    put: (path, body, timeoutMs) => ask('PUT', path, timeoutMs, toJson(body)),
    patch: (path, contentType, body, timeoutMs) => ask('PATCH', path, timeoutMs, toJson(body, contentType)),
    watch: async (path, { signal, connectMs, idleMs, onEvent }) => {
      let request: http.ClientRequest | undefined;
      const end = (message: string) => (): void => void request?.destroy(new Error(message));
      const abort = end('given up');
      let timer = setTimeout(end(`no answer within ${connectMs / 1000} s`), connectMs);
      signal.addEventListener('abort', abort, { once: true });
      try {
        const response = await send('GET', path, undefined, (sent) => {
          request = sent;
          if (signal.aborted) abort();
        });
        clearTimeout(timer);
        timer = setTimeout(end(`nothing came for ${idleMs / 1000} s`), idleMs);
        // Destroyed after its end, it would raise an error that nobody waits for any more.
        response.on('error', () => undefined);
        if (response.statusCode === 200) await readLines(response, onEvent, () => timer.refresh());
        else response.resume();
        return response.statusCode ?? 0;
      } catch (error) {
        throw failure('GET', path, error);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
      }
    },
    close: () => agent.destroy(),
  };
}

async function readText(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** One JSON document a line. What comes after the last line end was cut short and is dropped. */
async function readLines(
  response: http.IncomingMessage,
  onEvent: (event: unknown) => void,
  onChunk: () => void,
): Promise<void> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    onChunk();
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_EVENT_CHARACTERS)
      throw new Error(`an event has more than ${MAX_EVENT_CHARACTERS} characters`);
    for (const line of lines) if (line !== '') onEvent(parseJson(line));
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failure(method: string, path: string, error: unknown): ProductError {
  const [bare] = path.split('?');
  return new ProductError(
    'kubernetes-api',
    `${method} ${bare ?? path} at the Kubernetes API server: ${describeError(error)}`,
    {
      cause: error,
    },
  );
}

/**
 * The five verbs of the Kubernetes API that the webhook uses. Not client-node's own requests: see
 * docs/decisions/0007-kubernetes-client.md.
 */
import type { ApiAnswer } from './answer.js';
import type { Connection } from './connection.js';
import { pickAnswer, type PickedAnswer, type PickOptions, requestAnswer } from './request.js';
import { createTransport, type RequestBody } from './transport.js';
import { watchEvents, type WatchOptions } from './watch.js';

/** Paths include their query. All methods reject with a ProductError `kubernetes-api` where no whole answer came. */
export interface KubernetesApi {
  get(path: string, timeoutMs: number): Promise<ApiAnswer>;
  /** Reads an answer that others may have filled, of which only what is wanted is kept. */
  pick(path: string, options: PickOptions): Promise<PickedAnswer>;
  post(path: string, body: object, timeoutMs: number): Promise<ApiAnswer>;
  put(path: string, body: object, timeoutMs: number): Promise<ApiAnswer>;
  /** @param contentType which kind of patch the body is. */
  patch(path: string, contentType: string, body: object, timeoutMs: number): Promise<ApiAnswer>;
  /** Resolves with the status once the server ends the watch. */
  watch(path: string, options: WatchOptions): Promise<number>;
}

/** The methods that read and write single objects. */
export type ObjectsApi = Pick<KubernetesApi, 'get' | 'put' | 'patch'>;

/** @returns the API and `close`, which closes its connections. */
export function createKubernetesApi(connection: Connection): KubernetesApi & { close(): void } {
  const transport = createTransport(connection);
  return {
    get: (path, timeoutMs) => requestAnswer(transport, { method: 'GET', path, timeoutMs }),
    pick: (path, options) => pickAnswer(transport, path, options),
    post: (path, body, timeoutMs) =>
      requestAnswer(transport, { method: 'POST', path, timeoutMs, body: writeJson(body) }),
    put: (path, body, timeoutMs) => requestAnswer(transport, { method: 'PUT', path, timeoutMs, body: writeJson(body) }),
    patch: (path, contentType, body, timeoutMs) =>
      requestAnswer(transport, { method: 'PATCH', path, timeoutMs, body: writeJson(body, contentType) }),
    watch: (path, options) => watchEvents(transport, path, options),
    close: () => transport.close(),
  };
}

function writeJson(body: object, contentType = 'application/json'): RequestBody {
  return { text: JSON.stringify(body), contentType };
}

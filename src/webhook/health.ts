/** The plain-HTTP server for the kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { announcesBody } from '../http-body.js';
import { SECOND_MS } from '../time.js';
import { limitConnections } from './connections.js';
import type { Readiness } from './readiness.js';

/** A plain connection costs about 20 KiB. */
const LIMITS = { connections: 128, stallMs: 10 * SECOND_MS };
/** To collect the metrics takes some milliseconds, and anybody may ask for them as often as it likes. */
const METRICS_MS = 100;

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * It does not listen yet. `/readyz` answers 503 with the conditions that are not fulfilled.
 * @param onConnection called with each new connection, before anything is read.
 */
export function createHealthServer(readiness: Readiness, registry: Registry, onConnection: () => void): Server {
  const readMetrics = keepFor(METRICS_MS, () => registry.metrics());
  const answer = async ({ method = '', url = '' }: IncomingMessage): Promise<Reply> => {
    if (method !== 'GET' && method !== 'HEAD') return writeText(405, 'only GET and HEAD are answered');
    const [path = ''] = url.split('?', 1);
    switch (path) {
      case '/healthz':
        return writeText(200, 'ok');
      case '/readyz': {
        const missing = readiness.missing();
        return missing.length === 0 ? writeText(200, 'ok') : writeText(503, `not ready: ${missing.join(', ')}`);
      }
      case '/metrics':
        return { status: 200, type: registry.contentType, body: await readMetrics() };
      default:
        return writeText(404, 'not found; this port serves /healthz, /readyz and /metrics');
    }
  };
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000, connectionsCheckingInterval: 5000 });
  server.on('connection', onConnection);
  const connections = limitConnections(server, LIMITS);
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    if (announcesBody(request)) request.socket.destroy();
    else if (connections.begin(request, response)) void answer(request).then((reply) => send(response, reply));
  };
  // Node itself would answer a request that expects something unknown, and read its body to the end.
  return server.on('request', take).on('checkExpectation', take);
}

function writeText(status: number, body: string): Reply {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function send(response: ServerResponse, { status, type, body }: Reply): void {
  const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body), connection: 'close' };
  response.writeHead(status, { ...headers, ...(status === 405 && { allow: 'GET, HEAD' }) }).end(body);
}

/** Computes at most once in that time, however many ask. */
function keepFor<T>(keptMs: number, compute: () => T): () => T {
  let kept: { readonly value: T } | undefined;
  return () => {
    if (kept === undefined) {
      kept = { value: compute() };
      setTimeout(() => (kept = undefined), keptMs).unref();
    }
    return kept.value;
  };
}

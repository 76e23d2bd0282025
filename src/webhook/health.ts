/** The plain-HTTP server for the kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`. */
import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';
import { SECOND_MS } from '../time.js';
import { limitConnections } from './connections.js';
import type { Readiness } from './readiness.js';

/** A plain connection costs about 20 KiB. */
const LIMITS = { connections: 128, stallMs: 10 * SECOND_MS };

/** It does not listen yet. `/readyz` answers 503 with the conditions that are not fulfilled. */
export function createHealthServer(readiness: Readiness, registry: Registry): Server {
  const answer = async (path: string): Promise<{ status: number; type: string; body: string }> => {
    const text = (status: number, body: string) => ({ status, type: 'text/plain; charset=utf-8', body: `${body}\n` });
    switch (path) {
      case '/healthz':
        return text(200, 'ok');
      case '/readyz': {
        const missing = readiness.missing();
        return missing.length === 0 ? text(200, 'ok') : text(503, `not ready: ${missing.join(', ')}`);
      }
      case '/metrics':
        return { status: 200, type: registry.contentType, body: await registry.metrics() };
      default:
        return text(404, 'not found; this port serves /healthz, /readyz and /metrics');
    }
  };
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000, connectionsCheckingInterval: 5000 });
  const connections = limitConnections(server, LIMITS);
  return server.on('request', (request, response) => {
    if (!connections.begin(request, response)) return;
    request.resume();
    const [path = ''] = (request.url ?? '').split('?');
    void answer(path).then(({ status, type, body }) => {
      response.writeHead(status, { 'content-type': type, ...(readiness.isDraining && { connection: 'close' }) });
      response.end(body);
    });
  });
}

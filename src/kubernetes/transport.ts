/** Sends requests to the API server: with its credentials, over connections that are kept open. */
import * as http from 'node:http';
import * as https from 'node:https';
import { describeError, ProductError } from '../errors.js';
import { PRODUCT } from '../names.js';
import { VERSION } from '../version.js';
import type { Connection } from './connection.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH';

export interface RequestBody {
  readonly text: string;
  readonly contentType: string;
}

export interface TransportRequest {
  readonly method: Method;
  /** With its query. */
  readonly path: string;
  readonly body?: RequestBody | undefined;
  /** Called before anything is sent; who has the request can abort it. */
  readonly onRequest: (request: http.ClientRequest) => void;
}

export interface Transport {
  /** Resolves with the head of the response; its body is still to be read. */
  send(request: TransportRequest): Promise<http.IncomingMessage>;
  /** Closes all connections. */
  close(): void;
}

export function createTransport(connection: Connection): Transport {
  const transport = connection.server.protocol === 'http:' ? http : https;
  const agent = new transport.Agent({ keepAlive: true, keepAliveMsecs: 15_000, maxFreeSockets: 4 });
  const prefix = connection.server.href.replace(/\/$/, '');
  return {
    send: async ({ method, path, body, onRequest }) => {
      const options = await connection.authorize();
      const headers: http.OutgoingHttpHeaders = {
        ...(options.headers as http.OutgoingHttpHeaders | undefined),
        accept: 'application/json',
        'user-agent': `${PRODUCT}/${VERSION}`,
      };
      if (body !== undefined) {
        headers['content-type'] = body.contentType;
        headers['content-length'] = Buffer.byteLength(body.text);
      }
      return new Promise((resolve, reject) => {
        const request = transport.request(`${prefix}${path}`, { agent, ...options, method, headers });
        request.on('response', resolve).on('error', reject);
        onRequest(request);
        request.end(body?.text);
      });
    },
    close: () => agent.destroy(),
  };
}

/** The error for a request that got no whole answer. Its query is left out: it may hold a long token. */
export function wrapFailure(method: Method, path: string, cause: unknown): ProductError {
  const [pathname = path] = path.split('?');
  const message = `${method} ${pathname} at the Kubernetes API server: ${describeError(cause)}`;
  return new ProductError('kubernetes-api', message, { cause });
}

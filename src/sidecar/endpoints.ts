/** What the sidecar answers over HTTP. No endpoint returns a token; ids are shown to loopback clients only. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { describeError, ProductError } from '../errors.js';
import { findOldestOfHeaviest } from '../eviction.js';
import { announcesBody } from '../http-body.js';
import { ANNOTATION, NO_PORT, SIDECAR_CONTAINER, SIDECAR_ENV, STATE_FILE } from '../names.js';
import type { SidecarConfig } from './config.js';
import { deriveState } from './message-for-git.js';
import { formatMetrics } from './metrics.js';
import type { TokenManager } from './token-manager.js';

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

/** A connection costs memory, of which the sidecar has little. */
const MAX_CONNECTIONS = 128;

/** The server of probes, metrics and status; not listening yet. Its limits are tight because connections cost memory. */
export function createEndpoints(manager: TokenManager): Server {
  /** From the oldest to the newest. Each closes after one answer, so the oldest is one that does not ask. */
  const open = new Set<Socket>();
  const makeRoom = (): void => {
    if (open.size <= MAX_CONNECTIONS) return;
    const victim = findOldestOfHeaviest(open, (socket) => socket.remoteAddress);
    if (victim !== undefined && open.delete(victim)) victim.destroy();
  };
  const server = createServer({
    maxHeaderSize: 4096,
    headersTimeout: 5000,
    requestTimeout: 5000,
    connectionsCheckingInterval: 5000,
    keepAlive: false,
  });
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    if (announcesBody(request)) request.socket.destroy();
    else send(request, response, answer(request, manager));
  };
  // Node itself would answer a request that expects something unknown, and read its body to the end.
  server.on('request', take).on('checkExpectation', take);
  server.timeout = 10_000;
  // More requests in one packet would be answered all at once.
  server.maxRequestsPerSocket = 1;
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    // What clients have already sent is read first, in between.
    setImmediate(() => setImmediate(makeRoom));
  });
  return server;
}

const OK: Reply = { status: 200, body: 'ok\n' };

type Route = (manager: TokenManager, request: IncomingMessage) => Reply;

const ROUTES: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/healthz', () => OK],
  [
    '/startz',
    (manager, request) =>
      manager.hasStarted() ? OK : refuse(503, `The startup rule is not met yet. ${explain(manager, request)}`),
  ],
  [
    '/readyz',
    (manager, request) =>
      manager.isReady() ? OK : refuse(503, `There is no valid token. ${explain(manager, request)}`),
  ],
  [
    '/metrics',
    (manager) => ({ status: 200, body: formatMetrics(manager), type: 'text/plain; version=0.0.4; charset=utf-8' }),
  ],
  [
    '/status',
    (manager, request) =>
      isFromLoopback(request)
        ? { status: 200, body: manager.formatStatus(), type: 'application/json' }
        : refuse(403, 'The status is shown only inside the pod, at localhost.'),
  ],
]);

function answer(request: IncomingMessage, manager: TokenManager): Reply {
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'method not allowed');
  const path = request.url?.split('?', 1)[0] ?? '';
  return ROUTES.get(path)?.(manager, request) ?? refuse(404, 'not found');
}

/** Why there is no token. Its ids are for loopback clients only, as the status is; others get the code. */
function explain(manager: TokenManager, request: IncomingMessage): string {
  const snapshot = manager.describe();
  if (isFromLoopback(request)) return deriveState(snapshot).message;
  return `Cause: ${snapshot.failure?.code ?? 'no answer yet'}. The log of the container ${SIDECAR_CONTAINER} says more.`;
}

function refuse(status: number, message: string): Reply {
  return { status, body: `${message}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, { status, body, type }: Reply): void {
  response.writeHead(status, {
    'content-type': type ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/**
 * Checks the addresses of both ends, since a mesh's proxy connects from a loopback address for a client in another pod.
 * Checks the host name too, since a web page can point a name of its own at 127.0.0.1. A Unix socket has no address.
 */
function isFromLoopback(request: IncomingMessage): boolean {
  const { remoteAddress, localAddress } = request.socket;
  const host = request.headers.host?.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') ?? 'localhost';
  return (
    [remoteAddress, localAddress].every((address) => address === undefined || isLoopbackAddress(address)) &&
    (host.toLowerCase() === 'localhost' || isLoopbackAddress(host))
  );
}

function isLoopbackAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/** The address of the sidecar inside the pod. */
export function locate(
  config: Pick<SidecarConfig, 'port' | 'directory'>,
): { readonly socketPath: string } | { readonly host: string; readonly port: number } {
  if (config.port === NO_PORT) return { socketPath: `${config.directory}/${STATE_FILE.socket}` };
  return { host: '127.0.0.1', port: config.port };
}

/**
 * Listens on all addresses, or on a socket in the directory where no port is configured.
 * @throws ProductError `listen`
 */
export async function listen(server: Server, config: SidecarConfig): Promise<void> {
  const address = locate(config);
  try {
    if ('socketPath' in address) {
      rmSync(address.socketPath, { force: true });
      await listenOn(server, { path: address.socketPath });
      chmodSync(address.socketPath, 0o600);
      return;
    }
    try {
      await listenOn(server, { host: '::', port: address.port });
    } catch (error) {
      if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await listenOn(server, { host: '0.0.0.0', port: address.port });
    }
  } catch (error) {
    throw new ProductError('listen', describeListenError(error, address));
  }
}

function describeListenError(error: unknown, address: ReturnType<typeof locate>): string {
  if ('socketPath' in address) return `The socket ${address.socketPath} can't be listened on: ${describeError(error)}.`;
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  const cause = isTaken ? 'another process of the pod uses it' : describeError(error);
  return `Port ${address.port} (${SIDECAR_ENV.port}) can't be listened on: ${cause}. Choose another with the annotation ${ANNOTATION.port}.`;
}

async function listenOn(
  server: Server,
  where: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      // A later error concerns one connection (too many open files): the server continues.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

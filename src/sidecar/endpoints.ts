/** What the sidecar answers over HTTP. No endpoint gives a token; ids are shown to loopback alone. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { describeError, ProductError } from '../errors.js';
import { NO_PORT, SIDECAR_ENV, STATE_FILE } from '../names.js';
import type { SidecarConfig } from './config.js';
import { formatMetrics } from './metrics.js';
import type { TokenManager } from './token-manager.js';

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

/** The server of probes, metrics and status; not listening yet. Limits are tight: connections cost memory. */
export function createEndpoints(keeper: TokenManager): Server {
  const server = createServer(
    {
      maxHeaderSize: 4096,
      headersTimeout: 5000,
      requestTimeout: 5000,
      connectionsCheckingInterval: 5000,
      keepAlive: false,
    },
    (request, response) => {
      request.resume();
      send(request, response, reply(request, keeper));
    },
  );
  server.maxConnections = 64;
  server.timeout = 10_000;
  return server;
}

function reply(request: IncomingMessage, keeper: TokenManager): Reply {
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, body: 'method not allowed\n' };
  switch (request.url?.replace(/\?.*$/s, '') ?? '') {
    case '/healthz':
      return { status: 200, body: 'ok\n' };
    case '/startz':
      return keeper.hasStarted()
        ? { status: 200, body: 'ok\n' }
        : { status: 503, body: 'The startup rule does not hold yet.\n' };
    case '/readyz':
      return keeper.isReady() ? { status: 200, body: 'ok\n' } : { status: 503, body: 'There is no valid token.\n' };
    case '/metrics':
      return { status: 200, body: formatMetrics(keeper), type: 'text/plain; version=0.0.4; charset=utf-8' };
    case '/status':
      return isFromLoopback(request)
        ? { status: 200, body: keeper.formatStatus(), type: 'application/json' }
        : { status: 403, body: 'The status is shown inside the pod alone, at localhost.\n' };
    default:
      return { status: 404, body: 'not found\n' };
  }
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
 * By the addresses of both ends (a service mesh's proxy comes from a loopback address for a client of another pod), and by
 * name: a web page whose host name was pointed at 127.0.0.1 asks with that name. A socket has no address.
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

/** Where the sidecar can be asked from inside the pod. */
export function locate(
  config: Pick<SidecarConfig, 'port' | 'directory'>,
): { readonly socketPath: string } | { readonly host: string; readonly port: number } {
  if (config.port === NO_PORT) return { socketPath: `${config.directory}/${STATE_FILE.socket}` };
  return { host: '127.0.0.1', port: config.port };
}

/**
 * Listens on all addresses, or on a socket in the directory where no port is wanted.
 * @throws ProductError `listen`
 */
export async function listen(server: Server, config: SidecarConfig): Promise<void> {
  const place = locate(config);
  try {
    if ('socketPath' in place) {
      rmSync(place.socketPath, { force: true });
      await listenOn(server, { path: place.socketPath });
      chmodSync(place.socketPath, 0o600);
      return;
    }
    try {
      await listenOn(server, { host: '::', port: place.port });
    } catch (error) {
      if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await listenOn(server, { host: '0.0.0.0', port: place.port });
    }
  } catch (error) {
    throw new ProductError('listen', describeListenError(error, place));
  }
}

function describeListenError(error: unknown, place: ReturnType<typeof locate>): string {
  if ('socketPath' in place) return `The socket ${place.socketPath} can't be listened on: ${describeError(error)}.`;
  const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  const cause = taken ? 'another process of the pod has it' : describeError(error);
  return `Port ${place.port} (${SIDECAR_ENV.port}) can't be listened on: ${cause}. Choose another with the annotation ado-git.workload.identity/port.`;
}

async function listenOn(
  server: Server,
  where: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      // What fails later is one connection (too many open files): the server goes on.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

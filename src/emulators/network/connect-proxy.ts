/**
 * An HTTP proxy that connects real host names to the emulators: it routes `CONNECT` tunnels and plain `http://` requests
 * for certain hosts to loopback ports, and refuses all others.
 */
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { listen, type Listening } from './loopback-server.js';

export interface ConnectProxy extends Listening {
  /** `http://127.0.0.1:PORT`, as `https_proxy` takes it. */
  readonly url: string;
  /** All requested `HOST:PORT`, also the refused ones. */
  readonly targets: readonly string[];
}

/** @param route the loopback port for a host (lower case) and port, or `undefined` to refuse. */
export async function startConnectProxy(
  route: (host: string, port: number) => number | undefined,
): Promise<ConnectProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const findRoute = (target: string): number | undefined => {
    targets.push(target);
    const [host = '', port = '80'] = target.split(':');
    return route(host.toLowerCase(), Number(port));
  };

  const server = createServer((request, response) => forwardPlain(request, response, findRoute));
  server.on('connection', (socket: Socket) => track(socket));
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const port = findRoute(request.url ?? '');
    if (port === undefined) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    tunnel(socket, head, track(connect(port, '127.0.0.1')));
  });

  function track(socket: Socket): Socket {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  }

  const port = await listen(server);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    targets,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function tunnel(client: Socket, head: Buffer, upstream: Socket): void {
  let established = false;
  upstream.once('connect', () => {
    established = true;
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    upstream.write(head);
    upstream.pipe(client).pipe(upstream);
  });
  // The answer of a real proxy for a host that is down.
  upstream.once('error', () => {
    if (established) client.destroy();
    else client.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n');
  });
  client.once('error', () => upstream.destroy());
}

/** Forwards an absolute-form request, `GET http://host/path`. */
function forwardPlain(
  request: IncomingMessage,
  response: ServerResponse,
  findRoute: (target: string) => number | undefined,
): void {
  const url = URL.canParse(request.url ?? '') ? new URL(request.url ?? '') : undefined;
  const port = url === undefined ? undefined : findRoute(`${url.hostname}:${url.port === '' ? '80' : url.port}`);
  if (url === undefined || port === undefined) {
    response.writeHead(403).end();
    return;
  }
  const path = url.pathname + url.search;
  const upstream = httpRequest(
    { host: '127.0.0.1', port, path, method: request.method, headers: request.headers, agent: false },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    },
  );
  upstream.once('error', () => response.writeHead(502).end());
  request.pipe(upstream);
}

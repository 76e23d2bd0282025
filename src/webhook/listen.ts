/** Opens and closes a server's port. */
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describeError, ProductError } from '../errors.js';

type Server = HttpServer | HttpsServer;

/**
 * Connections that wait to be accepted; Linux allows 4,096. Node's 511 are full at once where strangers open some hundred together. The
 * kernel then drops those of the API server too, which tries again only after one, three and seven seconds.
 */
const BACKLOG = 4096;

/**
 * Listens on all addresses, IPv4 and, where the machine has it, IPv6.
 * @param setting the environment variable that the port came from.
 * @returns the port; a free one where 0 was given.
 * @throws ProductError `listen` that names port and setting.
 */
export function listen(server: Server, port: number, setting: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const cause =
        error.code === 'EADDRINUSE'
          ? 'another program uses it'
          : error.code === 'EACCES'
            ? 'ports below 1024 need a privilege'
            : describeError(error);
      const message = `port ${port} (${setting}) can't be listened on: ${cause}; set ${setting} to a free port`;
      reject(new ProductError('listen', message, { cause: error }));
    });
    server.listen({ port, backlog: BACKLOG }, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Stops listening, closes idle connections, and waits for the answers in flight, at most `waitMs`. */
export async function closeServer(server: Server, waitMs: number): Promise<void> {
  if (!server.listening) return;
  const timer = setTimeout(() => server.closeAllConnections(), waitMs);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearTimeout(timer);
}

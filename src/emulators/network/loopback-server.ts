/** HTTPS and HTTP servers on free loopback ports, for all emulators. */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import type { KeyedCertificate } from '../../certificates/pair.js';

/** A running server. */
export interface Listening {
  readonly port: number;
  /** Closes the server and all connections. */
  readonly close: () => Promise<void>;
}

/** Listens with TLS on 127.0.0.1. */
export async function listenWithTls(certificate: KeyedCertificate, listener: RequestListener): Promise<Listening> {
  const server = createHttpsServer({ cert: certificate.certificatePem, key: certificate.keyPem }, listener);
  return { port: await listen(server), close: () => closeServer(server) };
}

/** Listens without TLS on 127.0.0.1. */
export async function listenPlain(listener: RequestListener): Promise<Listening> {
  const server = createHttpServer(listener);
  return { port: await listen(server), close: () => closeServer(server) };
}

/** Listens on a free port of 127.0.0.1; returns the port. */
export async function listen(server: NetServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function closeServer(server: Pick<Server, 'close' | 'closeAllConnections'>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

/**
 * Bounds the connections of a port. When there are too many, one goes that never made a whole request, and not one that has been
 * answered: the API server keeps those, and a request that it sends on one that is just being closed fails.
 */
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { findOldestOfHeaviest } from '../eviction.js';

type Server = HttpServer | HttpsServer;

export interface ConnectionLimits {
  /** Open at once. Somewhat more are open while a burst is being accepted. */
  readonly connections: number;
  /** For the rest of a handshake or head after its first byte, and for the client to take an answer; up to twice as long may pass. */
  readonly stallMs: number;
}

/** The connections of one server. */
export interface Connections {
  /**
   * To be called with each request, before anything else.
   * @returns false where an earlier request of the connection has no answer yet, or two have answers that were not taken. Then the
   * connection is closed: the API server, the kubelet and Prometheus never do that, and requests or answers would pile up.
   */
  begin(request: IncomingMessage, response: ServerResponse): boolean;
  /** To be called when a request is whole: until its answer is written, its connection is not closed to make room. */
  work(socket: Socket): void;
}

interface Connection {
  readonly address: string;
  /** That of TCP; after a TLS handshake, that of TLS. */
  socket: Socket;
  /** `waiting` is one that has yet to make a whole request: a handshake, a head, a body. */
  state: 'waiting' | 'working' | 'idle';
  /** That of the last request, until it has left. */
  response: ServerResponse | undefined;
  /** Those that have not left. A client may have an answer, and ask again, before the socket says that it was sent. */
  responses: number;
  /** What the socket had read at the end of the last request. */
  bytesBefore: number;
  requests: number;
  /** The number of requests at the last look, if something was unfinished then. */
  unfinished: number | undefined;
}

/** This part of the places is for connections that wait: those that are idle never take them all. */
const WAITING_SHARE = 1 / 4;

export function limitConnections(server: Server, { connections, stallMs }: ConnectionLimits): Connections {
  /** From the oldest to the newest, by their last change of state. */
  const open = new Set<Connection>();
  const find = followSockets(server, open, createTrimmer(open, connections));
  const look = setInterval(() => open.forEach(closeUnfinished), stallMs).unref();
  server.once('close', () => clearInterval(look));
  const change = (connection: Connection, state: Connection['state']): void => {
    connection.state = state;
    if (open.delete(connection)) open.add(connection);
  };
  return {
    begin: (request, response) => {
      const { socket } = request;
      const connection = find(socket);
      if (connection === undefined || isAhead(connection)) {
        socket.destroy();
        return false;
      }
      connection.response = response;
      connection.responses += 1;
      connection.requests += 1;
      change(connection, 'waiting');
      response.once('close', () => {
        connection.responses -= 1;
        if (connection.response !== response) return;
        connection.response = undefined;
        connection.bytesBefore = socket.bytesRead;
        change(connection, 'idle');
      });
      return true;
    },
    work: (socket) => {
      const connection = find(socket);
      if (connection !== undefined) change(connection, 'working');
    },
  };
}

/**
 * Adds each new connection to those that are open, and removes it when it is closed.
 * @returns the connection of a socket.
 */
function followSockets(
  server: Server,
  open: Set<Connection>,
  trim: () => void,
): (socket: Socket) => Connection | undefined {
  const bySocket = new WeakMap<Socket, Connection>();
  const byEnds = new Map<string, Connection>();
  server.on('connection', (socket: Socket) => {
    const connection = createConnection(socket);
    const ends = nameEnds(socket);
    open.add(connection);
    bySocket.set(socket, connection);
    byEnds.set(ends, connection);
    socket.once('close', () => {
      open.delete(connection);
      if (byEnds.get(ends) === connection) byEnds.delete(ends);
    });
    trim();
  });
  server.on('secureConnection', (socket: Socket) => {
    const connection = byEnds.get(nameEnds(socket));
    if (connection === undefined) {
      // Its client left during the handshake.
      socket.destroy();
      return;
    }
    connection.socket = socket;
    connection.unfinished = undefined;
    bySocket.set(socket, connection);
  });
  return (socket) => bySocket.get(socket);
}

function createConnection(socket: Socket): Connection {
  return {
    address: socket.remoteAddress ?? '',
    socket,
    state: 'waiting',
    response: undefined,
    responses: 0,
    bytesBefore: 0,
    requests: 0,
    unfinished: undefined,
  };
}

function isAhead({ response, responses }: Connection): boolean {
  return responses > 1 || response?.writableEnded === false;
}

/** Both sockets of a TLS connection have the same ends, and no other connection has them. */
function nameEnds({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

/** @returns the function that makes room, once what clients have already sent was read: a burst must not close those that have asked. */
function createTrimmer(open: Set<Connection>, most: number): () => void {
  let isPlanned = false;
  const trim = (): void => {
    isPlanned = false;
    while (open.size > most) {
      const victim = chooseVictim(open, most * WAITING_SHARE);
      // All are at work; their number has a limit of its own.
      if (victim === undefined) return;
      open.delete(victim);
      victim.socket.destroy();
    }
  };
  return () => {
    if (open.size <= most || isPlanned) return;
    isPlanned = true;
    setImmediate(() => setImmediate(trim));
  };
}

function chooseVictim(open: ReadonlySet<Connection>, reserved: number): Connection | undefined {
  const waiting = [...open].filter(isWaiting);
  const idle = [...open].filter(({ state }) => state === 'idle');
  const candidates = waiting.length > reserved || idle.length === 0 ? waiting : idle;
  return findOldestOfHeaviest(candidates, ({ address }) => address);
}

/** Also one whose client does not take its answer. */
function isWaiting({ state, response }: Connection): boolean {
  return state === 'waiting' || (state === 'working' && response?.writableEnded === true);
}

/** Closes a connection that was in the middle of a handshake, head or answer at the last look, and has not got on since. */
function closeUnfinished(connection: Connection): void {
  const { socket, response, requests, unfinished } = connection;
  const isUnfinished = response === undefined ? socket.bytesRead > connection.bytesBefore : response.writableEnded;
  if (isUnfinished && unfinished === requests) socket.destroy();
  connection.unfinished = isUnfinished ? requests : undefined;
}

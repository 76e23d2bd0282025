/** The HTTPS server that the API server calls: `POST /mutate`. It takes requests within limits, and shuts down in order. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { KeyedCertificate } from '../certificates/pair.js';
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import { type Milliseconds, SECOND_MS } from '../time.js';
import { type AdmissionAnswer, type Admit, answerFailure } from './admission.js';
import type { ClientAuthority } from './client-authority.js';
import { judgeClient } from './client-certificate.js';
import { type Connections, limitConnections } from './connections.js';
import { createHeldBytes, type HeldBytes } from './held-bytes.js';
import type { Overload } from './lanes.js';
import type { Metrics } from './metrics.js';
import { readBody } from './request-body.js';
import { ADMISSION_PATH, judgeHead, type Refusal } from './request-head.js';
import type { Turns } from './turns.js';

export interface AppOptions {
  readonly admit: Admit;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'countAdmission' | 'observeDuration'>;
  /** A clock of which only differences count. */
  readonly clock: () => Milliseconds;
  readonly turns: Turns;
  /** Whose client certificate callers must have; without it, whoever reaches the port is answered. */
  readonly clients?: Pick<ClientAuthority, 'authorityPem' | 'commonNames'> | undefined;
  readonly waiting?: Partial<WaitingLimits>;
}

/** Limits of what may wait for a client. */
export interface WaitingLimits {
  readonly connections: number;
  /** For the rest of a handshake or head, and until an answer is taken. */
  readonly stallMs: number;
  /** For the arrival of a whole body. */
  readonly bodyTimeoutMs: number;
  /** Of bodies that are not whole and answers that are not taken. */
  readonly heldBytes: number;
}

/**
 * A TLS connection costs about 50 KiB, 60 with half a head, as measured: 512 cost 30 of the 320 MiB that the chart gives. More than
 * are open to all API servers of a busy cluster, each of which works on 200 mutating requests at once. A review of 4 MiB comes from
 * the API server within a fraction of the time for bodies, and the largest fits into the held bytes four times.
 */
const WAITING: WaitingLimits = {
  connections: 512,
  stallMs: 10 * SECOND_MS,
  bodyTimeoutMs: 10 * SECOND_MS,
  heldBytes: 16 * 1024 * 1024,
};

export interface App {
  readonly fastify: FastifyInstance<Server>;
  /** Ready to listen. */
  readonly server: Server;
  /** New connections get this certificate; those that are open keep theirs. */
  useCertificate(pair: KeyedCertificate): void;
  /** New connections are verified by the authority that `clients` has now; those that are open stay. */
  renewClientAuthority(): void;
  /** From now on each answer closes its connection, so that the API server opens the next one to another replica. */
  closeConnectionsAfterAnswers(): void;
}

/** Longer than the 90 s after which the API server drops an idle connection: the server must never close it first. */
const KEEP_ALIVE_MS = 120_000;
/** Forward secrecy and authenticated encryption only. The first three are those of TLS 1.3; Go has all of them by default. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE+AESGCM',
  'ECDHE+CHACHA20',
];
const TLS = { minVersion: 'TLSv1.2', ciphers: CIPHERS.join(':') } as const;

export function createApp(options: AppOptions, pair: KeyedCertificate): App {
  const limits = { ...WAITING, ...options.waiting };
  const server = createServer(buildServerOptions(pair, options.clients));
  server.on('tlsClientError', (error) => options.log.debug('a TLS handshake failed', { cause: describeError(error) }));
  server.on('connection', () => options.turns.noteConnection());
  const connections = limitConnections(server, limits);
  const held = createHeldBytes(limits.heldBytes);
  let isClosing = false;
  const fastify = Fastify({
    logger: false,
    serverFactory: (handle) => {
      const take = (request: IncomingMessage, response: ServerResponse): void => {
        if (!connections.begin(request, response)) return;
        const refusal = judge(request, options.clients);
        if (refusal === undefined) handle(request, response);
        else refuse(response, refusal, options);
      };
      // Node itself would answer a request that expects something unknown, and read its body to the end.
      return server.on('request', take).on('checkExpectation', take);
    },
  });
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', (_request: FastifyRequest, payload: IncomingMessage) =>
    readBody(payload, { held, timeoutMs: limits.bodyTimeoutMs }),
  );
  const send = createSender(options, held, () => isClosing);
  addAnswers(fastify, options, { send, connections });
  return {
    fastify,
    server,
    ...createSecureContexts(server, pair, options.clients),
    closeConnectionsAfterAnswers: () => {
      isClosing = true;
    },
  };
}

/** By what is known before the body is read. */
function judge(request: IncomingMessage, clients: Clients): Refusal | undefined {
  return (clients && judgeClient(request.socket, clients.commonNames)) ?? judgeHead(request);
}

/** Answers and closes the connection: the body is not read. */
function refuse(response: ServerResponse, refusal: Refusal, { log, metrics }: AppOptions): void {
  const { status, body, outcome, reason } = answerFailure(log, { ...refusal, outcome: 'refused' });
  metrics.countAdmission(outcome, reason);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, connection: 'close' }).end(body);
}

type Send = (reply: FastifyReply, answer: AdmissionAnswer) => FastifyReply;

function createSender({ metrics }: AppOptions, held: HeldBytes, isClosing: () => boolean): Send {
  return (reply, answer) => {
    const { raw } = reply.request;
    metrics.countAdmission(answer.outcome, answer.reason);
    if (answer.status === 503) void reply.header('retry-after', '1');
    // A body that is not whole is not read to its end for an answer that does not depend on it.
    if (isClosing() || !raw.complete) void reply.header('connection', 'close');
    // What its client has left is not kept.
    if (!reply.raw.destroyed) {
      const hold = held.hold(raw.socket, () => raw.socket.destroy());
      hold.resize(answer.body.length);
      reply.raw.once('close', () => hold.release());
    }
    return reply.code(answer.status).type('application/json').send(answer.body);
  };
}

interface Answering {
  readonly send: Send;
  readonly connections: Connections;
}

function addAnswers(
  fastify: FastifyInstance<Server>,
  { admit, log, metrics, clock, turns }: AppOptions,
  { send, connections }: Answering,
): void {
  fastify.addHook('onRequest', async (request, reply) => {
    const startMs = clock();
    // Follows the last byte of the answer, or the loss of the connection.
    reply.raw.once('close', () => metrics.observeDuration(clock() - startMs));
  });
  fastify.post<{ Body: Buffer | 'no-room' | null }>(ADMISSION_PATH, async (request, reply) => {
    const body = request.body ?? Buffer.alloc(0);
    // Not thrown: fastify would close the connection.
    if (body === 'no-room') return send(reply, answerOverload(log, 'bytes'));
    const { socket } = request.raw;
    connections.work(socket);
    const from = { address: socket.remoteAddress ?? '', bytes: body.length };
    const answer = await turns.run(from, async (next) => (socket.destroyed ? undefined : admit(body, next)));
    // Its client has left.
    if (answer === undefined) return reply;
    return send(reply, typeof answer === 'string' ? answerOverload(log, answer) : answer);
  });
  fastify.setErrorHandler<FastifyError>((error, _request, reply) => {
    const status = error.statusCode ?? 500;
    const reason = status < 500 ? 'BadRequest' : 'InternalError';
    return send(reply, answerFailure(log, { status, reason, outcome: 'refused', message: error.message }));
  });
}

function answerOverload(log: Logger, overload: Overload): AdmissionAnswer {
  const tooMany = overload === 'bytes' ? 'bytes of admissions' : overload;
  const message = `too many ${tooMany} are being answered; try again in a second`;
  return answerFailure(log, { status: 503, reason: 'ServiceUnavailable', outcome: 'overloaded', message });
}

type Clients = AppOptions['clients'];

function createSecureContexts(
  server: Server,
  pair: KeyedCertificate,
  clients: Clients,
): Pick<App, 'useCertificate' | 'renewClientAuthority'> {
  let served = pair;
  const renew = (): void => server.setSecureContext(buildSecureContext(served, clients));
  return {
    useCertificate: (next) => {
      served = next;
      renew();
    },
    renewClientAuthority: renew,
  };
}

function buildSecureContext({ certificatePem, keyPem }: KeyedCertificate, clients: Clients): SecureContextOptions {
  return {
    ...TLS,
    cert: certificatePem,
    key: keyPem,
    ...(clients !== undefined && { ca: clients.authorityPem() }),
  };
}

function buildServerOptions(pair: KeyedCertificate, clients: Clients): ServerOptions {
  return {
    ...buildSecureContext(pair, clients),
    // Without a handshake there would be no answer that says what is missing: judgeClient gives it.
    ...(clients !== undefined && { requestCert: true, rejectUnauthorized: false }),
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Node counts it from the start of the connection: a shorter one would close connections that the API server keeps.
    headersTimeout: KEEP_ALIVE_MS,
    requestTimeout: KEEP_ALIVE_MS,
    handshakeTimeout: WAITING.stallMs,
  };
}

/** The HTTPS server that the API server calls: `POST /mutate`. It limits concurrent requests, and shuts down in order. */
import type { IncomingMessage } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { KeyedCertificate } from '../certificates/pair.js';
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Milliseconds } from '../time.js';
import { type AdmissionAnswer, type Admit, answerFailure } from './admission.js';
import { MAX_REVIEW_BYTES } from './admission-review.js';
import type { Metrics } from './metrics.js';
import type { Limiter } from './overload.js';

export interface AppOptions {
  readonly admit: Admit;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'countAdmission' | 'observeDuration'>;
  /** A clock of which only differences count. */
  readonly clock: () => Milliseconds;
  readonly limiter: Limiter;
  /** Limit for the arrival of a body. */
  readonly bodyTimeoutMs?: number;
}

export interface App {
  readonly fastify: FastifyInstance<Server>;
  /** Ready to listen. */
  readonly server: Server;
  /** New connections get this certificate; those that are open keep theirs. */
  useCertificate(pair: KeyedCertificate): void;
  /** From now on each answer closes its connection, so that the API server opens the next one to another replica. */
  closeConnectionsAfterAnswers(): void;
}

/** Longer than the 90 s after which the API server drops an idle connection: the server must never close it first. */
const KEEP_ALIVE_MS = 120_000;
/** A review of 7 MiB comes from the API server within a fraction of this. */
const BODY_TIMEOUT_MS = 10_000;
/** Where the length of a body is not declared. */
const FIRST_CHUNK_BYTES = 16 * 1024;
const TLS = { minVersion: 'TLSv1.2' } as const;

export function createApp(options: AppOptions, pair: KeyedCertificate): App {
  const { admit, log, metrics, clock, limiter, bodyTimeoutMs = BODY_TIMEOUT_MS } = options;
  let isClosing = false;
  const fastify = Fastify({
    logger: false,
    serverFactory: (handler) => createServer(buildServerOptions(pair), handler),
  });
  fastify.server.on('tlsClientError', (error) => log.debug('a TLS handshake failed', { cause: describeError(error) }));

  const send = (reply: FastifyReply, answer: AdmissionAnswer): FastifyReply => {
    metrics.countAdmission(answer.result, answer.reason);
    if (answer.status === 503) void reply.header('retry-after', '1');
    return reply.code(answer.status).type('application/json').send(answer.body);
  };
  const refuse = (reply: FastifyReply, status: number, reason: string, message: string): FastifyReply =>
    send(reply, answerFailure(log, { status, reason, result: 'refused', message }));

  fastify.addHook('onRequest', async (request, reply) => {
    const startMs = clock();
    // Follows the last byte of the answer, or the loss of the connection.
    reply.raw.once('close', () => metrics.observeDuration(clock() - startMs));
    if (isClosing) void reply.header('connection', 'close');
    const release = await limiter.acquire(readLength(request) ?? MAX_REVIEW_BYTES);
    if (typeof release === 'string') return send(reply, answerOverload(log, release));
    if (reply.raw.destroyed) release();
    else reply.raw.once('close', release);
    return undefined;
  });
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', (request: FastifyRequest, payload: IncomingMessage) =>
    readBody(payload, readLength(request), bodyTimeoutMs),
  );
  fastify.post<{ Body: Buffer | null }>('/mutate', async (request, reply) =>
    send(reply, await admit(request.body ?? Buffer.alloc(0))),
  );
  fastify.setNotFoundHandler((request, reply) =>
    refuse(
      reply,
      404,
      'NotFound',
      `${request.method} ${request.url.slice(0, 80)} is not answered; there is POST /mutate`,
    ),
  );
  fastify.setErrorHandler<FastifyError>((error, request, reply) => {
    const status = error.statusCode ?? 500;
    const message =
      status === 415
        ? `the content type is ${JSON.stringify(request.headers['content-type'] ?? '')}; application/json is expected`
        : error.message;
    return refuse(reply, status, nameReason(status), message);
  });

  return {
    fastify,
    server: fastify.server,
    useCertificate: ({ certificatePem, keyPem }) =>
      fastify.server.setSecureContext({ ...TLS, cert: certificatePem, key: keyPem }),
    closeConnectionsAfterAnswers: () => {
      isClosing = true;
    },
  };
}

function answerOverload(log: Logger, tooMany: string): AdmissionAnswer {
  const message = `too many ${tooMany} are being answered; try again in a second`;
  return answerFailure(log, { status: 503, reason: 'ServiceUnavailable', result: 'overloaded', message });
}

function buildServerOptions({ certificatePem, keyPem }: KeyedCertificate): ServerOptions {
  return {
    ...TLS,
    cert: certificatePem,
    key: keyPem,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Node counts it from the start of the connection: a shorter one would close connections that the API server keeps.
    headersTimeout: KEEP_ALIVE_MS,
    requestTimeout: KEEP_ALIVE_MS,
    handshakeTimeout: 10_000,
  };
}

/** The bytes that the head of a request declares; node refuses a head whose length is no number. */
function readLength({ headers }: FastifyRequest): number | undefined {
  const length = headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

/**
 * Reads the whole body. Node itself reads and drops the rest of one that is too large. Each chunk is copied at once, so that it
 * dies young: kept until the body is whole, chunks would outlive young collections and fill memory until a full one.
 * @param declared bytes, by the header content-length; undefined where there is none.
 * @throws an error with `statusCode` 413 or 408.
 */
function readBody(payload: IncomingMessage, declared: number | undefined, timeoutMs: number): Promise<Buffer> {
  let body = Buffer.allocUnsafe(Math.min(declared ?? FIRST_CHUNK_BYTES, MAX_REVIEW_BYTES));
  let length = 0;
  return new Promise((resolve, reject) => {
    if (payload.destroyed) {
      reject(new Error('the connection was lost before the body was read'));
      return;
    }
    // It already has a place in the limiter, which a client that sends nothing must not keep.
    const timer = setTimeout(
      () => payload.destroy(createBodyError(408, `the body did not come within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    const take = (chunk: Buffer): void => {
      const needed = length + chunk.length;
      if (needed > MAX_REVIEW_BYTES) {
        clearTimeout(timer);
        payload.off('data', take).pause();
        const most = `${MAX_REVIEW_BYTES} bytes, the most that an AdmissionReview may have`;
        reject(createBodyError(413, `the body has more than ${most}`));
        return;
      }
      if (needed > body.length) body = Buffer.concat([body.subarray(0, length)], 2 * needed);
      length += chunk.copy(body, length);
    };
    payload.on('data', take);
    payload.on('end', () => resolve(body.subarray(0, length)));
    payload.on('error', reject);
    payload.on('close', () => clearTimeout(timer));
  });
}

function createBodyError(statusCode: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode });
}

/** The reason that Kubernetes gives with an HTTP status. */
function nameReason(status: number): string {
  if (status === 413) return 'RequestEntityTooLarge';
  if (status === 415) return 'UnsupportedMediaType';
  return status < 500 ? 'BadRequest' : 'InternalError';
}

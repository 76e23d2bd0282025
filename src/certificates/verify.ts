/**
 * Whether the API server could verify this webhook: a TLS connection to its own listener, with the Service's name, held
 * against the caBundle as it stands in the API server. It is the same in all modes.
 */
import { X509Certificate } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { connect, type ConnectionOptions, createSecureContext, TLSSocket } from 'node:tls';
import { describeError, ProductError } from '../errors.js';
import type { Logger } from '../log.js';
import { webhookHost } from '../names.js';
import type { KeyedCertificate } from './pair.js';

export interface ListenerVerification {
  readonly port: number;
  /** The webhook's namespace. */
  readonly namespace: string;
  /** @returns PEM; undefined or empty where there is none yet. May reject. */
  readonly readCaBundle: () => Promise<string | undefined>;
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

const TRY_EVERY_MS = 1000;
const HANDSHAKE_MS = 5000;

/** Tries each second; resolves with true once it is verified, with false when the signal is aborted. Never rejects. */
export async function waitUntilVerified(verification: ListenerVerification): Promise<boolean> {
  const { port, namespace, readCaBundle, sleep, signal, log } = verification;
  let said: string | undefined;
  while (!signal.aborted) {
    try {
      const caBundle = (await readCaBundle()) ?? '';
      if (caBundle.trim() === '')
        throw new ProductError('certificate', 'the webhook configuration has no caBundle yet');
      await verifyListener(port, webhookHost(namespace), caBundle);
      return true;
    } catch (error) {
      const why = describeError(error);
      if (why !== said) log.info('not ready: the API server could not verify the webhook yet', { why });
      said = why;
    }
    await sleep(TRY_EVERY_MS, signal);
  }
  return false;
}

/** @throws ProductError `certificate`, with what an API server would say of the certificate on a port of this machine. */
export async function verifyListener(port: number, serverName: string, caBundle: string): Promise<void> {
  const options = { host: '127.0.0.1', port, ...asApiServer(serverName, caBundle) };
  await shakeHands(`the certificate on port ${port}`, serverName, () => connect(options));
}

/** @throws ProductError `certificate`, with what an API server would say if the pair were served. */
export async function verifyPair(pair: KeyedCertificate, serverName: string, caBundle: string): Promise<void> {
  const [near, far] = duplexPair();
  const secureContext = createSecureContext({ cert: pair.certificatePem, key: pair.keyPem });
  const server = new TLSSocket(far, { isServer: true, secureContext });
  server.on('error', () => server.destroy());
  await shakeHands('the certificate', serverName, () =>
    connect({ socket: near, ...asApiServer(serverName, caBundle) }),
  ).finally(() => server.destroy());
}

/** Verifies as Go does, which API servers are written in. */
function asApiServer(servername: string, ca: string): ConnectionOptions {
  return {
    servername,
    ca,
    rejectUnauthorized: true,
    // Any certificate in the caBundle is trusted, an intermediate's too (Go's `x509.VerifyOptions.Roots`).
    allowPartialTrustChain: true,
    // Go looks at the subject alternative names alone, never at the common name (since Go 1.15).
    checkServerIdentity: (name, { raw }) =>
      new X509Certificate(raw).checkHost(name, { subject: 'never' }) === undefined
        ? new Error(`none of its subject alternative names is ${name}`)
        : undefined,
  };
}

async function shakeHands(what: string, serverName: string, begin: () => TLSSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.destroy();
      const message = `${what} is not verified by the caBundle for ${serverName}: ${describeError(error)}`;
      reject(new ProductError('certificate', message, { cause: error }));
    };
    const socket = begin();
    socket.setTimeout(HANDSHAKE_MS, () => fail(new Error(`no handshake within ${HANDSHAKE_MS / 1000} s`)));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.end();
      resolve();
    });
  });
}

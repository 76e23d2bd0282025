/**
 * Whether the API server could verify this webhook: a TLS connection to its own listener, with the Service's name, held
 * against the caBundle as it stands in the API server. It is the same in all modes.
 */
import { connect } from 'node:tls';
import { describeError, ProductError } from '../errors.js';
import type { Logger } from '../log.js';
import { WEBHOOK_NAME } from '../names.js';

export interface ListenerVerification {
  readonly port: number;
  /** The webhook's namespace: the API server knows it as `NAME.NAMESPACE.svc`. */
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
      await verifyListener(port, `${WEBHOOK_NAME}.${namespace}.svc`, caBundle);
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

/** @throws ProductError `certificate`, with what an API server would say. */
export async function verifyListener(port: number, serverName: string, caBundle: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.destroy();
      const message = `the certificate on port ${port} is not verified by the caBundle for ${serverName}: ${describeError(error)}`;
      reject(new ProductError('certificate', message, { cause: error }));
    };
    const socket = connect({ host: '127.0.0.1', port, servername: serverName, ca: caBundle, rejectUnauthorized: true });
    socket.setTimeout(HANDSHAKE_MS, () => fail(new Error(`no handshake within ${HANDSHAKE_MS / 1000} s`)));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.end();
      resolve();
    });
  });
}

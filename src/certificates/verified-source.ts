/**
 * Certificates that others write, each held back until the caBundle verifies it, or the one before has ended: the mounted
 * Secret and the caBundle change in no certain order, and what API servers refuse serves nobody.
 */
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import { type KeyedCertificate, readValidity } from './pair.js';
import { createProblemLog } from './problem-log.js';
import type { CertificateSource } from './source.js';

export interface VerifiedSourceOptions {
  /** What others have written last. */
  readonly source: CertificateSource;
  /** @returns PEM; undefined or empty where there is none. May reject. */
  readonly readCaBundle: () => Promise<string | undefined>;
  /** Rejects where API servers that have this caBundle would refuse the pair. */
  readonly verify: (pair: KeyedCertificate, caBundle: string) => Promise<void>;
  /** After each look that could read the caBundle: whether it verifies what is served. */
  readonly onVerified: (isValid: boolean) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
}

const LOOK_EVERY_MS = 3000;

export function createVerifiedSource(options: VerifiedSourceOptions): CertificateSource {
  const { source, readCaBundle, verify, onVerified: onVerified, sleep, log } = options;
  const problems = createProblemLog(log);
  const listeners: ((pair: KeyedCertificate) => void)[] = [];
  const stop = new AbortController();
  let served = source.current();

  const reconcile = async (): Promise<void> => {
    const next = source.current();
    const caBundle = await problems.attempt('configuration', async () => (await readCaBundle()) ?? '');
    const findDoubt = async (pair: KeyedCertificate): Promise<string | undefined> => {
      if (caBundle === undefined) return 'the caBundle can not be read';
      if (caBundle.trim() === '') return 'the webhook configuration has no caBundle';
      return verify(pair, caBundle).then(() => undefined, describeError);
    };

    let waiting: string | undefined;
    if (next !== served) {
      const doubt = await findDoubt(next);
      const hasEnded = readValidity(served.certificatePem).notAfter <= options.now();
      if (doubt === undefined || hasEnded) {
        served = next;
        for (const listener of listeners) listener(served);
      } else waiting = doubt;
    }
    problems.set('held', waiting && `a new certificate waits, and the one before it is served on: ${waiting}`);
    if (caBundle === undefined) return;
    const doubt = await findDoubt(served);
    problems.set('served', doubt && `API servers refuse the certificate of this replica: ${doubt}`);
    onVerified(doubt === undefined);
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await reconcile();
      await sleep(LOOK_EVERY_MS, stop.signal);
    }
  };
  void run();

  return {
    current: () => served,
    onChange: (listener) => void listeners.push(listener),
    onRefusal: (listener) => source.onRefusal(listener),
    close: () => {
      stop.abort();
      source.close();
    },
  };
}

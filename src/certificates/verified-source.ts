/**
 * Holds back certificates that others write, each until the caBundle verifies it or the previous one has expired. The
 * mounted Secret and the caBundle change in no particular order, and API servers refuse what the caBundle does not verify.
 */
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Now, Sleep } from '../time.js';
import { type KeyedCertificate, readValidity } from './pair.js';
import { createProblemLog } from './problem-log.js';
import type { CertificateSource } from './source.js';

interface VerifiedSourceOptions {
  /** The latest certificate that others have written. */
  readonly source: CertificateSource;
  /** @returns PEM; undefined or empty where there is none. May reject. */
  readonly readCaBundle: () => Promise<string | undefined>;
  /** Rejects where API servers that have this caBundle would refuse the pair. */
  readonly verify: (pair: KeyedCertificate, caBundle: string) => Promise<void>;
  /** After each pass that could read the caBundle: whether it verifies what is served. */
  readonly onVerified: (isValid: boolean) => void;
  readonly now: Now;
  readonly sleep: Sleep;
  readonly log: Logger;
}

const RECONCILE_EVERY_MS = 3000;

export function createVerifiedSource(options: VerifiedSourceOptions): CertificateSource {
  const { source, readCaBundle, verify, onVerified, now, sleep, log } = options;
  const problems = createProblemLog(log);
  const listeners: ((pair: KeyedCertificate) => void)[] = [];
  const stop = new AbortController();
  let served = source.current();

  /** @returns why API servers would refuse the pair; undefined where they would not. */
  const findProblem = async (pair: KeyedCertificate, caBundle: string | undefined): Promise<string | undefined> => {
    if (caBundle === undefined) return 'the caBundle can not be read';
    if (caBundle.trim() === '') return 'the webhook configuration has no caBundle';
    return verify(pair, caBundle).then(() => undefined, describeError);
  };

  const offerNext = async (next: KeyedCertificate, caBundle: string | undefined): Promise<void> => {
    const problem = next === served ? undefined : await findProblem(next, caBundle);
    const isExpired = readValidity(served.certificatePem).notAfter <= now();
    const isHeldBack = problem !== undefined && !isExpired;
    problems.set(
      'next',
      isHeldBack ? `a new certificate waits, the previous one is still served: ${problem}` : undefined,
    );
    if (isHeldBack || next === served) return;
    served = next;
    for (const listener of listeners) listener(served);
  };

  const reconcile = async (): Promise<void> => {
    const next = source.current();
    const caBundle = await problems.attempt('configuration', async () => (await readCaBundle()) ?? '');
    await offerNext(next, caBundle);
    if (caBundle === undefined) return;
    const problem = await findProblem(served, caBundle);
    problems.set('served', problem && `API servers refuse the certificate of this replica: ${problem}`);
    onVerified(problem === undefined);
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await reconcile();
      await sleep(RECONCILE_EVERY_MS, stop.signal);
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

/**
 * Certificates that others write, each held back while the caBundle verifies the one before and not yet the new one: a
 * Secret reaches a pod within a minute or two, the caBundle reaches API servers at once, and in no certain order.
 */
import { describeError, ProductError } from '../errors.js';
import type { Logger } from '../log.js';
import { createProblems } from './problems.js';
import { readValidity, type CertificateSource, type KeyedCertificate } from './source.js';

export interface HeldOptions {
  /** What others have written last. */
  readonly source: CertificateSource;
  /** @returns PEM; undefined or empty where there is none. May reject. */
  readonly readCaBundle: () => Promise<string | undefined>;
  /** Rejects where API servers that have this caBundle would refuse the pair. */
  readonly verify: (pair: KeyedCertificate, caBundle: string) => Promise<void>;
  /** After each look: whether the caBundle verifies what is served. */
  readonly onLook: (isInStep: boolean) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
}

const LOOK_EVERY_MS = 3000;

export function holdCertificates(options: HeldOptions): CertificateSource {
  const { source, readCaBundle, verify, onLook, sleep, log } = options;
  const problems = createProblems(log);
  const listeners: ((pair: KeyedCertificate) => void)[] = [];
  const stop = new AbortController();
  let served = source.current();

  const look = async (): Promise<void> => {
    const next = source.current();
    const caBundle = await problems.attempt('configuration', async () => {
      const pem = (await readCaBundle()) ?? '';
      if (pem.trim() === '') throw new ProductError('certificate', 'the webhook configuration has no caBundle');
      return pem;
    });
    const judge = async (pair: KeyedCertificate): Promise<string | undefined> =>
      caBundle === undefined
        ? 'the caBundle is not known'
        : verify(pair, caBundle).then(() => undefined, describeError);

    let doubt = await judge(served);
    let held: string | undefined;
    if (next !== served) {
      const nextDoubt = await judge(next);
      const hasEnded = readValidity(served.certificatePem).notAfter <= options.now();
      if (nextDoubt === undefined || hasEnded || (doubt !== undefined && caBundle !== undefined)) {
        served = next;
        doubt = nextDoubt;
        for (const listener of listeners) listener(served);
      } else held = nextDoubt;
    }
    problems.set('held', held && `a new certificate waits, and the one before it is served on: ${held}`);
    const isRefused = doubt !== undefined && caBundle !== undefined;
    problems.set(
      'served',
      isRefused ? `every admission fails, as API servers refuse the webhook: ${doubt}` : undefined,
    );
    onLook(doubt === undefined);
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await look();
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

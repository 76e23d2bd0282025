/**
 * Certificates of our own: a look at the Secret and the caBundle every few seconds, and what is served follows. Any number
 * of replicas do so at once.
 */
import type { ProductError } from '../../errors.js';
import { WEBHOOK_NAME } from '../../names.js';
import { createAuthority, issueCertificate } from '../authority.js';
import type { KeyedCertificate } from '../pair.js';
import type { CertificateSource } from '../source.js';
import { createReconciler, type ReconcilerOptions } from './reconcile.js';

export type { RotationSettings } from './plan.js';
export type { CertificateObserver, ManagedStatus } from './reconcile.js';

export interface ManagedOptions extends Omit<ReconcilerOptions, 'maker' | 'onChange' | 'onRefusal'> {
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** From 0 to 1; keeps replicas from looking in step. */
  readonly random: () => number;
}

export interface ManagedCertificates extends CertificateSource {
  /**
   * Whether the authority of what is served was read back from the API server for long enough to have reached all of
   * them; once true it stays so. Until then what is served may be something that nobody trusts.
   */
  isReady(): boolean;
  /** The caBundle as it was last read, PEM; undefined where it never could be. */
  caBundle(): string | undefined;
}

/** A caBundle that was undone is put back within five seconds, requests included. */
const LOOK_EVERY_MS = 3000;
/** While something is under way; never more than so often in a row, so that nobody can make a hot loop of it. */
const LOOK_SOON_MS = 400;
const MAX_SOON = 15;
/** The webhook can listen, and be asked whether it is ready, before the API server has answered. */
const FIRST_PAIR_MS = 3000;

/**
 * Resolves with the certificates of the Secret, which is made where there is none, or after three seconds with a
 * self-signed one until there are. Never rejects for what the API server answers: that is logged, and tried again.
 */
export async function startManagedCertificates(options: ManagedOptions): Promise<ManagedCertificates> {
  const { sleep, random, ...lookOptions } = options;
  const changeListeners: ((pair: KeyedCertificate) => void)[] = [];
  const refusalListeners: ((error: ProductError) => void)[] = [];
  const stop = new AbortController();
  let hasFirst = (): void => undefined;
  const first = new Promise<void>((resolve) => (hasFirst = resolve));
  const looks = createReconciler({
    ...lookOptions,
    maker: { createAuthority, issueCertificate },
    onChange: (pair) => {
      hasFirst();
      for (const listener of changeListeners) listener(pair);
    },
    onRefusal: (error) => {
      for (const listener of refusalListeners) listener(error);
    },
  });

  const run = async (): Promise<void> => {
    let soon = 0;
    while (!stop.signal.aborted) {
      soon = (await looks.reconcile()) === 'soon' ? soon + 1 : 0;
      const isSoon = soon > 0 && soon <= MAX_SOON;
      await sleep((isSoon ? LOOK_SOON_MS : LOOK_EVERY_MS) * (0.9 + 0.2 * random()), stop.signal);
    }
  };
  void run();
  const waiting = new AbortController();
  await Promise.race([first, sleep(FIRST_PAIR_MS, waiting.signal)]);
  waiting.abort();
  const placeholder =
    looks.current() ??
    (await createAuthority({ commonName: `${WEBHOOK_NAME} not ready`, days: 1, now: options.now() }));

  return {
    current: () => looks.current() ?? placeholder,
    onChange: (listener) => void changeListeners.push(listener),
    onRefusal: (listener) => void refusalListeners.push(listener),
    isReady: () => looks.isReady(),
    caBundle: () => looks.caBundle(),
    close: () => stop.abort(),
  };
}

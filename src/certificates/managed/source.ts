/** Managed certificates as a source. The reconciler runs every few seconds in each of any number of replicas. */
import type { ProductError } from '../../errors.js';
import { WEBHOOK_NAME } from '../../names.js';
import type { Sleep } from '../../time.js';
import { createAuthority, generateKeys } from '../authority.js';
import type { KeyedCertificate } from '../pair.js';
import type { CertificateSource } from '../source.js';
import { createReconciler, type ReconcilerOptions } from './reconcile.js';

export type { RotationSettings } from './plan.js';
export { type CertificateObserver, REPAIRED_OBJECTS, ROTATIONS } from './report.js';

interface ManagedOptions extends Omit<ReconcilerOptions, 'generateKeys' | 'onChange' | 'onRefusal'> {
  readonly sleep: Sleep;
  /** From 0 to 1; spreads the passes of the replicas. */
  readonly random: () => number;
}

interface ManagedCertificates extends CertificateSource {
  /**
   * Whether the authority of what is served was read back from the API server for long enough to have reached all API
   * servers; once true it stays true. Until then, API servers may not trust what is served.
   */
  isReady(): boolean;
  /** The caBundle as it was last read, PEM; undefined where it never was. */
  caBundle(): string | undefined;
}

/** A caBundle that others changed is restored within five seconds, requests included. */
const RECONCILE_EVERY_MS = 3000;
/** While something is under way. The limit of passes in a row keeps others from causing a hot loop. */
const RECONCILE_SOON_MS = 400;
const MAX_SOON = 15;
/** The webhook can listen and answer readiness probes before the API server has answered. */
const FIRST_PAIR_MS = 3000;

/**
 * Resolves with the certificates of the Secret, which is created where there is none. After three seconds without them
 * it resolves with a self-signed one, until they come. Never rejects for an answer of the API server: that is logged and
 * tried again.
 */
export async function startManagedCertificates(options: ManagedOptions): Promise<ManagedCertificates> {
  const { sleep, random, ...reconcilerOptions } = options;
  const changeListeners: ((pair: KeyedCertificate) => void)[] = [];
  const refusalListeners: ((error: ProductError) => void)[] = [];
  const stop = new AbortController();
  let resolveFirst = (): void => undefined;
  const first = new Promise<void>((resolve) => (resolveFirst = resolve));
  const reconciler = createReconciler({
    ...reconcilerOptions,
    generateKeys,
    onChange: (pair) => {
      resolveFirst();
      for (const listener of changeListeners) listener(pair);
    },
    onRefusal: (error) => {
      for (const listener of refusalListeners) listener(error);
    },
  });

  const run = async (): Promise<void> => {
    let soonInRow = 0;
    while (!stop.signal.aborted) {
      const { requeue } = await reconciler.reconcile();
      soonInRow = requeue === 'soon' ? soonInRow + 1 : 0;
      const isSoon = soonInRow > 0 && soonInRow <= MAX_SOON;
      await sleep((isSoon ? RECONCILE_SOON_MS : RECONCILE_EVERY_MS) * (0.9 + 0.2 * random()), stop.signal);
    }
  };
  void run();
  const waiting = new AbortController();
  await Promise.race([first, sleep(FIRST_PAIR_MS, waiting.signal)]);
  waiting.abort();
  const placeholder =
    reconciler.current() ??
    (await createAuthority({ commonName: `${WEBHOOK_NAME} not ready`, days: 1, now: options.now() }));

  return {
    current: () => reconciler.current() ?? placeholder,
    onChange: (listener) => void changeListeners.push(listener),
    onRefusal: (listener) => void refusalListeners.push(listener),
    isReady: () => reconciler.isReady(),
    caBundle: () => reconciler.caBundle(),
    close: () => stop.abort(),
  };
}

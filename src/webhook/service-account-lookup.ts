/** Finds a pod's service account: in the cache, or by a live read, of which there are only so many in a time. */
import { describeError } from '../errors.js';
import type { ServiceAccountLookup } from '../inject/index.js';
import type { KubernetesApi } from '../kubernetes/client.js';
import type { Milliseconds } from '../time.js';
import { type Allowance, createBudget } from './budget.js';
import { createSemaphore } from './semaphore.js';
import { ONE_ACCOUNT } from './service-account-answers.js';
import { readServiceAccount, type ServiceAccountCache } from './service-account-cache.js';

/** Budget of an admission for its live read, waiting included; the API server gives up on the admission after 5 s. */
const LIVE_READ_BUDGET_MS = 1500;
/** Limit on concurrent live reads; others wait within their budget. */
const MAX_LIVE_READS = 16;
/** Skip the live read when less than this is left of the budget. */
const MIN_READ_MS = 5;

/**
 * Live reads. A fresh namespace whose pods all come at once, before the watch brings its service account, passes easily, as
 * they share reads: 200 pods cause fewer than 200.
 */
const READS: Readonly<Record<'total' | 'each', Allowance>> = {
  total: { burst: 600, perSecond: 60 },
  each: { burst: 250, perSecond: 20 },
};
/** All namespaces that the cache does not know share one allowance: their names may be invented. */
const UNKNOWN_NAMESPACES = '';

export const LIVE_READ_OUTCOMES = ['found', 'missing', 'unavailable', 'over-budget'] as const;
export type LiveReadOutcome = (typeof LIVE_READ_OUTCOMES)[number];

export interface ServiceAccounts {
  /** What the cache holds; `undefined` where it does not know the service account. */
  findCached(namespace: string, name: string): ServiceAccountLookup | undefined;
  /**
   * Reads from the API server. Never rejects: a read that fails or is late is `unavailable`.
   * @returns `over-budget` where there were too many reads in the last seconds; none is sent.
   */
  readLive(namespace: string, name: string): Promise<ServiceAccountLookup | 'over-budget'>;
}

export interface ServiceAccountsOptions {
  readonly api: Pick<KubernetesApi, 'pick'>;
  readonly cache: Pick<ServiceAccountCache, 'get' | 'hasNamespace'>;
  readonly onLiveRead: (outcome: LiveReadOutcome) => void;
  /** Does not jump, as a wall clock does when it is set. */
  readonly clock: () => Milliseconds;
  readonly budgetMs?: number;
}

type LiveRead = Promise<ServiceAccountLookup | 'over-budget'>;

/**
 * The result of a live read is not cached: the watch brings it soon, and only the order of the watch is reliable. Nor is a
 * 404: it is rare, since the API server itself refuses pods whose service account does not exist.
 */
export function createServiceAccounts(options: ServiceAccountsOptions): ServiceAccounts {
  const { api, cache, onLiveRead, clock, budgetMs = LIVE_READ_BUDGET_MS } = options;
  /** Reads that are not yet sent, and the end of the last budget that waits for each. */
  const unsent = new Map<string, { readonly read: Promise<ServiceAccountLookup>; wantedUntil: number }>();
  const acquire = createSemaphore(MAX_LIVE_READS);
  const budget = createBudget({ ...READS, clock });

  const sendRead = async (namespace: string, name: string, key: string): Promise<ServiceAccountLookup> => {
    const release = await acquire();
    const remaining = (unsent.get(key)?.wantedUntil ?? 0) - clock();
    unsent.delete(key);
    try {
      if (remaining < MIN_READ_MS) return createUnavailable('too many reads of service accounts are under way');
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}`;
      const options = { ...ONE_ACCOUNT, timeoutMs: remaining, maxBytes: Infinity };
      const { status, body } = await api.pick(path, options);
      if (status === 404) return { state: 'missing' };
      const account = status === 200 ? readServiceAccount(body) : undefined;
      if (account === undefined) return createUnavailable(`the Kubernetes API server answered with ${status}`);
      return { state: 'found', annotations: account.annotations };
    } catch (error) {
      return createUnavailable(describeError(error));
    } finally {
      release();
    }
  };

  /**
   * Admissions share a read of the same account until it is sent. After that, its answer may be older than their question.
   */
  const shareRead = (namespace: string, name: string): LiveRead => {
    const key = `${namespace}/${name}`;
    const wantedUntil = clock() + budgetMs;
    const waiting = unsent.get(key);
    if (waiting !== undefined) {
      waiting.wantedUntil = wantedUntil;
      return waiting.read;
    }
    if (!budget.take(cache.hasNamespace(namespace) ? namespace : UNKNOWN_NAMESPACES)) {
      return Promise.resolve('over-budget');
    }
    const read = sendRead(namespace, name, key);
    unsent.set(key, { read, wantedUntil });
    return read;
  };

  return {
    findCached: (namespace, name) => {
      const annotations = cache.get(namespace, name);
      return annotations === undefined ? undefined : { state: 'found', annotations };
    },
    readLive: async (namespace, name) => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<ServiceAccountLookup>((resolve) => {
        const cause = `the Kubernetes API server did not answer within ${budgetMs / 1000} s`;
        // An answer that has arrived, but is unread because other pods kept the thread busy, is not late.
        timer = setTimeout(() => setImmediate(() => resolve(createUnavailable(cause))), budgetMs);
      });
      const lookup = await Promise.race([shareRead(namespace, name), late]);
      clearTimeout(timer);
      onLiveRead(lookup === 'over-budget' ? lookup : lookup.state);
      return lookup;
    },
  };
}

function createUnavailable(cause: string): ServiceAccountLookup {
  return { state: 'unavailable', cause };
}

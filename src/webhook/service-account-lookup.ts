/** Finds what is known of a pod's service account: in the cache, else by one live read within a budget. */
import { describeError } from '../errors.js';
import type { ServiceAccountLookup } from '../inject/index.js';
import type { KubernetesApi } from '../kubernetes/client.js';
import { createSemaphore } from './semaphore.js';
import { type Annotations, readServiceAccount, type ServiceAccountCache } from './service-account-cache.js';

/** An admission waits so long for a live read, in all, milliseconds; the API server gives up after 5 s. */
export const LIVE_READ_BUDGET_MS = 1500;
/** So many live reads are under way at once; others wait their turn within their budget. */
const MAX_LIVE_READS = 16;
/** For less no read is sent: its answer would come too late, milliseconds. */
const MIN_READ_MS = 5;

export type LiveReadResult = 'found' | 'missing' | 'unavailable';

export interface ServiceAccounts {
  /**
   * @param suffices whether these annotations hold an identity. If not, the watch may be behind someone who has just
   *   annotated the account, so that it is read once more.
   */
  find(namespace: string, name: string, suffices: (annotations: Annotations) => boolean): Promise<ServiceAccountLookup>;
}

export interface ServiceAccountsOptions {
  readonly api: Pick<KubernetesApi, 'get'>;
  readonly cache: Pick<ServiceAccountCache, 'get'>;
  readonly onLiveRead: (result: LiveReadResult) => void;
  /** Milliseconds; only differences count. */
  readonly now: () => number;
  readonly budgetMs?: number;
}

/**
 * What a live read finds is not kept: the watch brings it in a moment, and its order is the only one that can be relied
 * on. Nor is a 404: the API server itself refuses pods of an account that isn't there, so it is rare.
 */
export function createServiceAccounts(options: ServiceAccountsOptions): ServiceAccounts {
  const { api, cache, onLiveRead, now, budgetMs = LIVE_READ_BUDGET_MS } = options;
  /** Reads that wait for their turn, and until when somebody waits for them. */
  const unsent = new Map<string, { readonly read: Promise<ServiceAccountLookup>; wantedUntil: number }>();
  const takeTurn = createSemaphore(MAX_LIVE_READS);

  const readLive = async (namespace: string, name: string, key: string): Promise<ServiceAccountLookup> => {
    const giveBack = await takeTurn();
    const remaining = (unsent.get(key)?.wantedUntil ?? 0) - now();
    unsent.delete(key);
    try {
      if (remaining < MIN_READ_MS) return unavailable('too many reads of service accounts are under way');
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}`;
      const { status, body } = await api.get(path, remaining);
      if (status === 404) return { state: 'missing' };
      const account = status === 200 ? readServiceAccount(body) : undefined;
      if (account === undefined) return unavailable(`the Kubernetes API server answered its read with ${status}`);
      return { state: 'found', annotations: account.annotations };
    } catch (error) {
      return unavailable(describeError(error));
    } finally {
      giveBack();
    }
  };

  /** Admissions that ask for the same account share one read until it is sent: what is sent may be older than the question. */
  const share = (namespace: string, name: string): Promise<ServiceAccountLookup> => {
    const key = `${namespace}/${name}`;
    const wantedUntil = now() + budgetMs;
    const waiting = unsent.get(key);
    if (waiting !== undefined) {
      waiting.wantedUntil = wantedUntil;
      return waiting.read;
    }
    const read = readLive(namespace, name, key);
    unsent.set(key, { read, wantedUntil });
    return read;
  };

  return {
    find: async (namespace, name, suffices) => {
      const annotations = cache.get(namespace, name);
      if (annotations !== undefined && suffices(annotations)) return { state: 'found', annotations };
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<ServiceAccountLookup>((resolve) => {
        const cause = `the Kubernetes API server did not answer its read within ${budgetMs / 1000} s`;
        // An answer that waits to be read, the thread being busy with other pods, is not late.
        timer = setTimeout(() => setImmediate(() => resolve(unavailable(cause))), budgetMs);
      });
      const lookup = await Promise.race([share(namespace, name), late]);
      clearTimeout(timer);
      onLiveRead(lookup.state);
      return lookup;
    },
  };
}

function unavailable(cause: string): ServiceAccountLookup {
  return { state: 'unavailable', cause };
}

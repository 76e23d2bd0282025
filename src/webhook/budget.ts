/**
 * Budgets over time for what a request can cause. Anybody who reaches the port can send requests, so what they make us do to
 * the API server is limited, for each namespace and in total.
 */
import type { Milliseconds } from '../time.js';

/** A token bucket: so many at once, and so many a second from then on. */
export interface Allowance {
  readonly burst: number;
  readonly perSecond: number;
}

export interface BudgetOptions {
  readonly total: Allowance;
  /** Of each key. */
  readonly each: Allowance;
  /** Does not jump, as a wall clock does when it is set. */
  readonly clock: () => Milliseconds;
  /** Limit of remembered keys. A key that is forgotten starts anew; the total still holds. */
  readonly maxKeys?: number;
}

export interface Budget {
  /** @returns whether there was one left, which is now taken. */
  take(key: string): boolean;
}

interface Bucket {
  tokens: number;
  filledAt: Milliseconds;
}

const MAX_KEYS = 1000;

export function createBudget({ total, each, clock, maxKeys = MAX_KEYS }: BudgetOptions): Budget {
  const all: Bucket = { tokens: total.burst, filledAt: clock() };
  /** The least recently used first. */
  const buckets = new Map<string, Bucket>();

  const fill = (bucket: Bucket, { burst, perSecond }: Allowance): void => {
    const moment = clock();
    bucket.tokens = Math.min(burst, bucket.tokens + ((moment - bucket.filledAt) / 1000) * perSecond);
    bucket.filledAt = moment;
  };

  const remember = (key: string, bucket: Bucket): void => {
    buckets.delete(key);
    buckets.set(key, bucket);
    const [oldest] = buckets.keys();
    if (buckets.size > maxKeys && oldest !== undefined) buckets.delete(oldest);
  };

  return {
    take: (key) => {
      const own = buckets.get(key) ?? { tokens: each.burst, filledAt: clock() };
      fill(all, total);
      fill(own, each);
      const isLeft = all.tokens >= 1 && own.tokens >= 1;
      // A new key makes another be forgotten only where something was taken for it.
      if (isLeft || buckets.has(key)) remember(key, own);
      if (!isLeft) return false;
      all.tokens -= 1;
      own.tokens -= 1;
      return true;
    },
  };
}

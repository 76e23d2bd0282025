/** Limits on concurrent requests. Above them the answer is 503 with `Retry-After`, on which the API server tries again. */
import { createSemaphore, type Release } from './semaphore.js';

export interface Limits {
  readonly admissions: number;
  /** Of all request bodies together: a burst of the largest must not exceed the memory of the process. */
  readonly bytes: number;
  /** Parsing a large body blocks the event loop, so only a few run at once. */
  readonly largeBodies: number;
  /** How long a large body waits for its turn; the API server gives up after 5 s. */
  readonly waitMs: number;
}

const LIMITS: Limits = { admissions: 256, bytes: 32 * 1024 * 1024, largeBodies: 2, waitMs: 2000 };
/** Most pods have a few kilobytes. */
const LARGE_BODY_BYTES = 512 * 1024;

/** Which limit was reached, for messages. */
export type Overload = 'admissions' | 'large pods';

export interface Limiter {
  /** @returns why there is no place, or the function that releases it. */
  acquire(bytes: number): Promise<Release | Overload>;
  /** Places that are taken. */
  readonly count: number;
}

export function createLimiter(changes: Partial<Limits> = {}): Limiter {
  const limits = { ...LIMITS, ...changes };
  const acquireLarge = createSemaphore(limits.largeBodies);
  let count = 0;
  let totalBytes = 0;

  return {
    acquire: async (bytes) => {
      // One body is always accepted, however large: its own limit is lower than the sum's.
      const isFull = count >= limits.admissions || (count > 0 && totalBytes + bytes > limits.bytes);
      if (isFull) return 'admissions';
      count += 1;
      totalBytes += bytes;
      const release = (): void => {
        count -= 1;
        totalBytes -= bytes;
      };
      if (bytes <= LARGE_BODY_BYTES) return release;
      const releaseLarge = await acquireWithin(acquireLarge, limits.waitMs);
      if (releaseLarge === undefined) {
        release();
        return 'large pods';
      }
      return () => {
        release();
        releaseLarge();
      };
    },
    get count() {
      return count;
    },
  };
}

/** @returns undefined where it takes longer. */
async function acquireWithin(acquire: () => Promise<Release>, waitMs: number): Promise<Release | undefined> {
  const acquired = acquire();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), waitMs)));
  const release = await Promise.race([acquired, late]);
  clearTimeout(timer);
  if (release === undefined) void acquired.then((releaseUnused) => releaseUnused());
  return release;
}

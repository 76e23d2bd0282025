/** How much is taken on at once. More is turned away with 503 and `Retry-After`, on which the API server tries again. */

export interface Limits {
  readonly admissions: number;
  /** Of request bodies together: a burst of the largest must not cost the process its memory limit. */
  readonly bytes: number;
  /** Of large bodies: each occupies the one thread for as long as a hundred usual ones. */
  readonly large: number;
}

const LIMITS: Limits = { admissions: 256, bytes: 32 * 1024 * 1024, large: 2 };
/** Pods of people have a few kilobytes, bytes. */
const LARGE = 512 * 1024;

export interface Load {
  /** @returns the function that gives the place back, to be called once; undefined where there is none. */
  take(bytes: number): (() => void) | undefined;
  readonly count: number;
}

export function createLoad(limits: Partial<Limits> = {}): Load {
  const most = { ...LIMITS, ...limits };
  let count = 0;
  let total = 0;
  let large = 0;
  return {
    take: (bytes) => {
      // One body is always taken, however large: it is bounded by itself.
      if (count >= most.admissions || (count > 0 && total + bytes > most.bytes)) return undefined;
      const isLarge = bytes > LARGE;
      if (isLarge && large >= most.large) return undefined;
      count += 1;
      total += bytes;
      if (isLarge) large += 1;
      return () => {
        count -= 1;
        total -= bytes;
        if (isLarge) large -= 1;
      };
    },
    get count() {
      return count;
    },
  };
}

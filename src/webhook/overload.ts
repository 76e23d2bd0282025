/** How much is taken on at once. More is turned away with 503 and `Retry-After`, on which the API server tries again. */
import { createSemaphore } from './semaphore.js';

export interface Limits {
  readonly admissions: number;
  /** Of request bodies together: a burst of the largest must not cost the process its memory limit. */
  readonly bytes: number;
  /** Of large bodies, each of which occupies the one thread for long: others must come between them. */
  readonly large: number;
  /** So long a large body waits for its turn, milliseconds; the API server gives up after 5 s. */
  readonly waitMs: number;
}

const LIMITS: Limits = { admissions: 256, bytes: 32 * 1024 * 1024, large: 2, waitMs: 2000 };
/** Pods of people have a few kilobytes, bytes. */
const LARGE = 512 * 1024;

/** What there is too much of. */
export type Overload = 'admissions' | 'large pods';

export interface Load {
  /** @returns the function that gives the place back, to be called once; or why there is none. */
  take(bytes: number): Promise<(() => void) | Overload>;
  readonly count: number;
}

export function createLoad(limits: Partial<Limits> = {}): Load {
  const most = { ...LIMITS, ...limits };
  const takeTurn = createSemaphore(most.large);
  let count = 0;
  let total = 0;

  /** @returns undefined where it takes too long. */
  const waitForTurn = async (): Promise<(() => void) | undefined> => {
    const turn = takeTurn();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), most.waitMs)));
    const giveBack = await Promise.race([turn, late]);
    clearTimeout(timer);
    if (giveBack === undefined) void turn.then((giveBackUnused) => giveBackUnused());
    return giveBack;
  };

  return {
    take: async (bytes) => {
      // One body is always taken, however large: it is bounded by itself.
      if (count >= most.admissions || (count > 0 && total + bytes > most.bytes)) return 'admissions';
      count += 1;
      total += bytes;
      const release = (): void => {
        count -= 1;
        total -= bytes;
      };
      if (bytes <= LARGE) return release;
      const giveBack = await waitForTurn();
      if (giveBack === undefined) {
        release();
        return 'large pods';
      }
      return () => {
        release();
        giveBack();
      };
    },
    get count() {
      return count;
    },
  };
}

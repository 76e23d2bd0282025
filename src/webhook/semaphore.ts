/** A counting semaphore with a queue. */

/** Frees the place; to be called once. */
export type Release = () => void;

/** @returns `acquire`, which resolves once a place is free. Places are given in the order of the calls. */
export function createSemaphore(count: number): () => Promise<Release> {
  let free = count;
  const waiting: (() => void)[] = [];
  const release = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return release;
  };
}

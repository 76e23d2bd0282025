/** A queue for so many places. */

/** Resolves when a place is free, with the function that gives it back, to be called once. */
export type TakeTurn = () => Promise<() => void>;

export function createTurns(count: number): TakeTurn {
  let free = count;
  const waiting: (() => void)[] = [];
  const giveBack = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return giveBack;
  };
}

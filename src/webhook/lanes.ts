/** The queue of admissions, with a lane for each address that asks: who goes next, and who has to leave. PURE. */

/** Which limit was reached, for messages. */
export type Overload = 'admissions' | 'bytes' | 'large pods';

export interface Job {
  readonly isLarge: boolean;
  readonly start: () => void;
  /** Not there for the last part of work that was begun: it is always done. */
  readonly refuse?: (why: Overload) => void;
}

export interface Lane {
  readonly waiting: Job[];
  /** That wait or are worked on. */
  admissions: number;
  /** Of their bodies. */
  bytes: number;
  /** Large bodies that are worked on. */
  large: number;
  /** Of the thread's time. */
  usedMs: number;
}

/** By address, for as long as it asks for something. */
export type Lanes = Map<string, Lane>;

export function createLane(): Lane {
  return { waiting: [], admissions: 0, bytes: 0, large: 0, usedMs: 0 };
}

export function sumLanes(lanes: Lanes, field: 'admissions' | 'bytes' | 'large'): number {
  let total = 0;
  for (const lane of lanes.values()) total += lane[field];
  return total;
}

/** Removes the job that goes next from the lane that has used least time. */
export function takeNext(lanes: Lanes, largeBodies: number): { readonly lane: Lane; readonly job: Job } | undefined {
  const hasPlace = sumLanes(lanes, 'large') < largeBodies;
  let found: { readonly lane: Lane; readonly index: number } | undefined;
  for (const lane of lanes.values()) {
    if (lane.waiting.length === 0 || (found !== undefined && found.lane.usedMs <= lane.usedMs)) continue;
    const index = lane.waiting.findIndex(({ isLarge }) => !isLarge || hasPlace || lane.large === 0);
    if (index >= 0) found = { lane, index };
  }
  if (found === undefined) return undefined;
  const [job] = found.lane.waiting.splice(found.index, 1);
  return job && { lane: found.lane, job };
}

/**
 * Makes room for one more of this lane: whoever has most gives up the last that waits, unless that is the lane itself.
 * @param most in all lanes before the new one is added.
 * @returns whether there is room. A lane below its share always has it, also where all others are worked on.
 */
export function makeRoom(lanes: Lanes, own: Lane, field: 'admissions' | 'bytes', most: number): boolean {
  const share = most / (lanes.size + 1);
  while (sumLanes(lanes, field) > most) {
    const [heaviest] = [...lanes.values()].sort((one, other) => other[field] - one[field]);
    if (heaviest === undefined) return true;
    if (heaviest[field] <= own[field]) return false;
    const job = heaviest.waiting.findLast(({ refuse }) => refuse !== undefined);
    if (job === undefined) return own[field] < share;
    removeJob(heaviest, job);
    job.refuse?.(field);
  }
  return true;
}

/** @returns whether it was still waiting. */
export function removeJob({ waiting }: Lane, job: Job): boolean {
  const index = waiting.indexOf(job);
  if (index >= 0) waiting.splice(index, 1);
  return index >= 0;
}

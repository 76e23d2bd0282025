/**
 * Work in turns. A review may take a quarter of a second of the one thread, and any pod can send some. So the address goes next that
 * has used least time, and after what takes long, input and output come first. Each address has its share of the limits; what is above
 * them is answered with 503 and `Retry-After`, on which the API server tries again.
 */
import { MessageChannel } from 'node:worker_threads';
import { type Milliseconds, milliseconds } from '../time.js';
import {
  createLane,
  type Job,
  type Lane,
  type Lanes,
  makeRoom,
  type Overload,
  removeJob,
  sumLanes,
  takeNext,
} from './lanes.js';

export interface Limits {
  /** That are worked on or wait. */
  readonly admissions: number;
  /** Of their bodies together: a burst of the largest must not exceed the memory of the process. */
  readonly bytes: number;
  /** A large body becomes large objects, so only a few are worked on at once; each address may always have one. */
  readonly largeBodies: number;
  /** How long an admission waits for its turn; the API server gives up after 5 s. */
  readonly waitMs: number;
}

const LIMITS: Limits = { admissions: 256, bytes: 32 * 1024 * 1024, largeBodies: 2, waitMs: 2000 };
/** Most pods have a few kilobytes. */
const LARGE_BODY_BYTES = 512 * 1024;
/** Of work in a row; then input and output have their turn. */
const SLICE_MS = 5;

/** Does the last part of the work in a turn of its own. */
export type NextTurn = <T>(work: () => T) => Promise<T>;

export interface Turns {
  /**
   * Does the work when it is its turn, at once where nobody else waits. The time that counts is that of the call.
   * @param from the address that asks, and the bytes that are kept meanwhile.
   * @returns what the work resolves with, or why it was not begun.
   */
  run<T>(
    from: { readonly address: string; readonly bytes: number },
    work: (next: NextTurn) => Promise<T>,
  ): Promise<T | Overload>;
  /** To be called with each new connection, so that it does not wait for all the work that waits. */
  noteConnection(): void;
  /** Admissions that are worked on or wait. */
  readonly count: number;
}

export function createTurns(clock: () => Milliseconds, changes: Partial<Limits> = {}): Turns {
  const limits = { ...LIMITS, ...changes };
  const lanes: Lanes = new Map();
  const thread = createThread(lanes, limits.largeBodies, clock);
  return {
    run: ({ address, bytes }, work) => {
      const lane = lanes.get(address) ?? createLane();
      // One body is always taken, however large: its own limit is lower than the sum's.
      if (!makeRoom(lanes, lane, 'admissions', limits.admissions - 1)) return Promise.resolve('admissions');
      if (!makeRoom(lanes, lane, 'bytes', Math.max(0, limits.bytes - bytes))) return Promise.resolve('bytes');
      lanes.set(address, lane);
      lane.admissions += 1;
      lane.bytes += bytes;
      const leave = (): void => {
        lane.admissions -= 1;
        lane.bytes -= bytes;
        if (lane.admissions === 0) lanes.delete(address);
      };
      return waitForTurn({ thread, lane, bytes, waitMs: limits.waitMs, leave }, work);
    },
    noteConnection: () => thread.noteConnection(),
    get count() {
      return sumLanes(lanes, 'admissions');
    },
  };
}

interface Place {
  readonly thread: Thread;
  readonly lane: Lane;
  readonly bytes: number;
  readonly waitMs: number;
  /** To be called once. */
  readonly leave: () => void;
}

function waitForTurn<T>(
  { thread, lane, bytes, waitMs, leave }: Place,
  work: (next: NextTurn) => Promise<T>,
): Promise<T | Overload> {
  const isLarge = bytes > LARGE_BODY_BYTES;
  return new Promise((resolve, reject) => {
    const end = (): void => {
      if (isLarge) lane.large -= 1;
      leave();
      thread.start();
    };
    const job: Job = {
      isLarge,
      start: () => {
        clearTimeout(timer);
        if (isLarge) lane.large += 1;
        work((last) => finishInTurn(thread, lane, last))
          .then(resolve, reject)
          .finally(end);
      },
      refuse: (why) => {
        clearTimeout(timer);
        leave();
        resolve(why);
      },
    };
    const timer = setTimeout(() => {
      if (removeJob(lane, job)) job.refuse?.(isLarge ? 'large pods' : 'admissions');
    }, waitMs);
    thread.add(lane, job);
  });
}

function finishInTurn<T>(thread: Thread, lane: Lane, work: () => T): Promise<T> {
  return new Promise((resolve) => {
    // What it throws rejects the promise.
    const start = (): void => resolve(new Promise((settle) => settle(work())));
    thread.add(lane, { isLarge: false, start }, 'first');
  });
}

interface Thread {
  add(lane: Lane, job: Job, where?: 'first'): void;
  /** Starts what can be started. */
  start(): void;
  noteConnection(): void;
}

function createThread(lanes: Lanes, largeBodies: number, clock: () => Milliseconds): Thread {
  let isBusy = false;
  /** What the lane had used that went last: who asks again after a pause has saved nothing up. */
  let lastUsedMs = 0;
  const startOne = (): Milliseconds | undefined => {
    const next = takeNext(lanes, largeBodies);
    if (next === undefined) return undefined;
    lastUsedMs = next.lane.usedMs;
    const startMs = clock();
    next.job.start();
    const tookMs = milliseconds(clock() - startMs);
    next.lane.usedMs += tookMs;
    return tookMs;
  };
  let sliceMs = 0;
  const start = (): void => {
    if (isBusy) return;
    isBusy = true;
    while (sliceMs < SLICE_MS) {
      const tookMs = startOne();
      if (tookMs === undefined) {
        isBusy = false;
        return;
      }
      sliceMs += tookMs;
    }
    continueLater();
  };
  let hasNewConnection = false;
  let pausedAtMs = clock();
  const pass = createYield(() => {
    // Node accepts one connection each time. Some hundred of strangers must not keep one of the API server's waiting for as many turns.
    if (hasNewConnection && clock() - pausedAtMs < sliceMs) {
      hasNewConnection = false;
      pass();
      return;
    }
    sliceMs = 0;
    isBusy = false;
    start();
  });
  const continueLater = (): void => {
    hasNewConnection = true;
    pausedAtMs = clock();
    pass();
  };
  return {
    add: (lane, job, where) => {
      if (lane.waiting.length === 0) lane.usedMs = Math.max(lane.usedMs, lastUsedMs);
      if (where === 'first') lane.waiting.unshift(job);
      else lane.waiting.push(job);
      start();
    },
    start,
    noteConnection: () => {
      hasNewConnection = true;
    },
  };
}

/**
 * Calls the action after input and output, among the reads of the event loop. An answer that `setImmediate` writes counts as unsent
 * until after the next reads. A client that has it and asks again is then cut off: node pauses its parser, and breaks on what follows.
 */
function createYield(action: () => void): () => void {
  const { port1, port2 } = new MessageChannel();
  port1.on('message', action).unref();
  // A message that is posted while one is taken is taken at once, so it is posted later.
  return () => setImmediate(() => port2.postMessage(undefined));
}

/** Waiting in tests, always with a name and a deadline: `waitUntil`, `waitForEvent`, `withDeadline`; and `findFreePort`. */
import { type EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Long enough for a machine whose cores are busy with something else; a wait that succeeds never takes it. */
const DEFAULT_WITHIN_SECONDS = 30;
/** Pauses between attempts grow from the first to the longest. */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;

export interface Deadline {
  readonly withinSeconds?: number;
}

export interface WaitOptions extends Deadline {
  /** What was found instead, for the error; called only when the wait fails. */
  readonly describe?: () => unknown;
}

/**
 * Repeats the attempt; resolves with the first result that is neither undefined nor false.
 * @param what is waited for, for the error: `the sidecar writes its status`.
 * @throws Error at the deadline, with that name. Its cause is what the last attempt threw.
 */
export async function waitUntil<T>(
  what: string,
  attempt: () => T | Promise<T>,
  { withinSeconds = DEFAULT_WITHIN_SECONDS, describe }: WaitOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + withinSeconds * 1000;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    let cause: unknown;
    try {
      // The last attempt still gets a second: a busy machine may have used up the time before it.
      const leftSeconds = Math.max(1, (end - performance.now()) / 1000);
      const result = await withDeadline(what, Promise.resolve(attempt()), { withinSeconds: leftSeconds });
      if (result !== undefined && result !== false) return result as Exclude<T, undefined | false>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) {
      throw new Error(`not within ${withinSeconds} s: ${what}${await renderFound(describe)}`, { cause });
    }
    await sleep(pauseMs);
  }
}

async function renderFound(describe: WaitOptions['describe']): Promise<string> {
  try {
    return describe === undefined ? '' : `; found ${JSON.stringify(await describe())}`;
  } catch (error) {
    return `; what was found can't be described: ${String(error)}`;
  }
}

/**
 * The promise's own result.
 * @throws Error at the deadline, with that name. Nothing is cancelled.
 */
export async function withDeadline<T>(
  what: string,
  promise: Promise<T>,
  { withinSeconds = DEFAULT_WITHIN_SECONDS }: Deadline = {},
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${withinSeconds} s: ${what}`)), withinSeconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The values of the emitter's next event of that name. @throws what an event `error` carries, or at the deadline. */
export function waitForEvent(
  what: string,
  emitter: EventEmitter,
  event: string,
  deadline?: Deadline,
): Promise<unknown[]> {
  return withDeadline(what, once(emitter, event), deadline);
}

/** A port of this machine on which nothing listens at this moment. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await waitForEvent('the server listens', server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

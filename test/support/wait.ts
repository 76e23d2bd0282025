/** Waiting in tests: every wait has a name and an end. */
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Long enough for a machine whose cores are busy with something else; a wait that succeeds never takes it. */
const DEFAULT_WITHIN_SECONDS = 30;
const POLL_MS = 20;

/**
 * Resolves with the first result that is neither undefined nor false.
 * @param what is waited for, for the error: `the sidecar writes its status`.
 * @throws Error after `withinSeconds`, with that name and what the last attempt threw.
 */
export async function waitUntil<T>(
  what: string,
  attempt: () => T | Promise<T>,
  { withinSeconds = DEFAULT_WITHIN_SECONDS } = {},
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + withinSeconds * 1000;
  for (;;) {
    let cause: unknown;
    try {
      const result = await attempt();
      if (result !== undefined && result !== false) return result as Exclude<T, undefined | false>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) throw new Error(`waited ${withinSeconds} s in vain: ${what}`, { cause });
    await sleep(POLL_MS);
  }
}

/** A port of this machine on which nothing listens at this moment. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

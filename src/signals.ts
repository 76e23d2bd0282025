/** How a program is asked to end. */

/** What is used of a process. */
export interface SignalledProcess {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  exit(code: number): unknown;
}

/** Listens from the call on. @returns a signal that the first SIGTERM or SIGINT aborts; a second one skips the drain. */
export function listenToSignals(process: SignalledProcess): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(1);
      stop.abort();
    });
  }
  return stop.signal;
}

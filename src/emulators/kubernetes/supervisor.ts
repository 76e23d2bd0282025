/** Keeps one program running, as the kubelet does where `restartPolicy` is `Always`. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { endProgram, type Programs } from '../process.js';

export interface Supervised {
  /** Lines that it has written, over all restarts. */
  readonly log: readonly string[];
  readonly restarts: () => number;
  /** Kills it with SIGKILL; it is started again. */
  readonly kill: () => Promise<void>;
  /** Ends it with SIGTERM, for good; returns its exit code. */
  readonly stop: () => Promise<number | null>;
}

/** Before the second restart and those after it, milliseconds; a kubelet takes longer. */
const CRASH_PAUSE = 1000;

/** Starts the program. */
export function supervise(
  programs: Programs,
  [command = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): Supervised {
  const log: string[] = [];
  let stopping = false;
  let restarts = 0;
  let child = start();

  function start(): ChildProcess {
    const started = programs.start(command, args, { env });
    for (const stream of [started.stdout, started.stderr]) {
      if (stream !== null) createInterface(stream).on('line', (line) => log.push(line));
    }
    started.once('exit', () => {
      if (stopping) return;
      restarts++;
      setTimeout(restart, restarts === 1 ? 0 : CRASH_PAUSE).unref();
    });
    return started;
  }

  function restart(): void {
    if (!stopping && !programs.haveEnded()) child = start();
  }

  return {
    log,
    restarts: () => restarts,
    kill: () => endProgram(child, 'SIGKILL'),
    stop: async () => {
      stopping = true;
      await endProgram(child);
      return child.exitCode;
    },
  };
}

/** Keeps one program running, as the kubelet does with `restartPolicy: Always`. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type Programs, stopProgram } from '../process.js';

export interface Supervised {
  /** The lines of its output, over all restarts. */
  readonly log: readonly string[];
  readonly restarts: () => number;
  /** Kills it with SIGKILL; it is restarted. */
  readonly kill: () => Promise<void>;
  /** Stops it with SIGTERM, without a restart; returns its exit code. */
  readonly stop: () => Promise<number | null>;
}

/** Pause before the second and later restarts; a kubelet's is longer. */
const CRASH_PAUSE_MS = 1000;

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
      setTimeout(restart, restarts === 1 ? 0 : CRASH_PAUSE_MS).unref();
    });
    return started;
  }

  function restart(): void {
    if (!stopping && !programs.areStopped()) child = start();
  }

  return {
    log,
    restarts: () => restarts,
    kill: () => stopProgram(child, 'SIGKILL'),
    stop: async () => {
      stopping = true;
      await stopProgram(child);
      return child.exitCode;
    },
  };
}

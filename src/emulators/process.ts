/** Child processes in sessions of their own: they have no terminal, and each is stopped together with its children. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
}

export interface RunResult {
  /** Exit code, or the name of the signal that ended the program. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** Time to stop after SIGTERM. */
const STOP_WITHIN_MS = 10_000;
/** The exit code of a shell for a program that does not exist. */
const NOT_STARTED = 127;

/** A group of programs that are stopped together. */
export interface Programs {
  /** Starts a program. @throws Error after {@link stopAll}. */
  readonly start: (command: string, args: readonly string[], options: RunOptions) => ChildProcess;
  /** Runs a program to its end; the code is 127 for one that can't be started. */
  readonly run: (command: string, args: readonly string[], options: RunOptions) => Promise<RunResult>;
  /** Kills the running programs with all their children. No program is started afterwards. */
  readonly stopAll: () => void;
  readonly areStopped: () => boolean;
}

export function createPrograms(): Programs {
  const running = new Set<ChildProcess>();
  let stopped = false;

  const start: Programs['start'] = (command, args, options) => {
    if (stopped) throw new Error(`${command} is not started: all programs have been stopped`);
    const child = spawn(command, args, {
      env: options.env,
      cwd: options.cwd,
      detached: true,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    running.add(child);
    child.once('close', () => running.delete(child));
    child.on('error', () => running.delete(child));
    child.stdin?.on('error', () => undefined).end(options.input);
    return child;
  };

  return {
    start,
    run: async (command, args, options) => {
      const child = start(command, args, options);
      const closed = new Promise<RunResult['code']>((resolve) => {
        child.once('close', (code, signal) => resolve(signal ?? code ?? NOT_STARTED));
        child.once('error', () => resolve(NOT_STARTED));
      });
      const [code, stdout, stderr] = await Promise.all([closed, read(child.stdout), read(child.stderr)]);
      return { code, stdout, stderr };
    },
    stopAll: () => {
      stopped = true;
      for (const child of running) signalGroup(child, 'SIGKILL');
    },
    areStopped: () => stopped,
  };
}

/** Stops the program and its children; with SIGKILL if it does not stop in time. */
export async function stopProgram(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  signalGroup(child, signal);
  const killer = setTimeout(() => signalGroup(child, 'SIGKILL'), STOP_WITHIN_MS);
  await exited;
  clearTimeout(killer);
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // No process of the group is left.
  }
}

function read(stream: NodeJS.ReadableStream | null): Promise<string> {
  return stream === null ? Promise.resolve('') : text(stream);
}

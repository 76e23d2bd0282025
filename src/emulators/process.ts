/** Programs as children in sessions of their own: no terminal to ask on, and a group that ends as one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
}

export interface RunResult {
  /** Exit code; of a program that a signal ended, the signal's name. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** How long a program may take to end, milliseconds. */
const PATIENCE = 10_000;
/** What a shell answers for a program that is not there. */
const NOT_STARTED = 127;

/** Programs that belong together and end together. */
export interface Programs {
  /** Starts a program; throws once all have been ended. */
  readonly start: (command: string, args: readonly string[], options: RunOptions) => ChildProcess;
  /** Runs a program to its end; one that can't be started ends with code 127. */
  readonly run: (command: string, args: readonly string[], options: RunOptions) => Promise<RunResult>;
  /** Kills whatever still runs, with all that it has started; nothing is started afterwards. */
  readonly endAll: () => void;
  readonly haveEnded: () => boolean;
}

export function createPrograms(): Programs {
  const running = new Set<ChildProcess>();
  let ended = false;

  const start: Programs['start'] = (command, args, options) => {
    if (ended) throw new Error(`${command} is not started any more`);
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
    endAll: () => {
      ended = true;
      for (const child of running) signalGroup(child, 'SIGKILL');
    },
    haveEnded: () => ended,
  };
}

/** Ends the program and everything that it has started; with SIGKILL where it does not end when it is asked. */
export async function endProgram(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  signalGroup(child, signal);
  const impatient = setTimeout(() => signalGroup(child, 'SIGKILL'), PATIENCE);
  await exited;
  clearTimeout(impatient);
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group has ended by itself.
  }
}

function read(stream: NodeJS.ReadableStream | null): Promise<string> {
  return stream === null ? Promise.resolve('') : text(stream);
}

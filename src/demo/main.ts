/** What `ado-git-identity demo` loads: opens the terminal's output and makes a directory that is removed at the end. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PRODUCT } from '../names.js';
import { VERSION } from '../version.js';
import { runChapters } from './run.js';
import { createTerminal } from './terminal.js';

export interface DemoOptions {
  /** Directory of `cli.cjs` and `sidecar.cjs`. */
  readonly bundles: string;
  /** Where `git` is found, as `PATH` has it. */
  readonly searchPath: string;
  /** Writes to standard output. */
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Whether a terminal gets colours. */
  readonly colours: boolean;
  /** Ends the demo early. */
  readonly stop: AbortSignal;
}

/** Runs the demo; returns the exit code. */
export async function runDemo({ write, isTerminal, colours, ...options }: DemoOptions): Promise<number> {
  const terminal = createTerminal({ write, isTerminal, colours });
  terminal.open(
    `${PRODUCT} ${VERSION}: how a pod reaches its git repositories`,
    'The webhook, the sidecar and git are the real programs, and the URLs are real ones. Entra, Azure DevOps, the API ' +
      'server and the kubelet are emulators on the loopback interface.',
  );
  const directory = await mkdtemp(join(await realpath(tmpdir()), `${PRODUCT}-demo-`));
  try {
    return (await runChapters({ ...options, directory, terminal })) ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

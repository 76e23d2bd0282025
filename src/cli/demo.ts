/** `demo`: the whole way of a pod to its repository, on one machine, with stand-ins for what is not the product. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runChapters } from '../demo/run.js';
import { createTerminal } from '../demo/terminal.js';
import { PRODUCT } from '../names.js';
import { VERSION } from '../version.js';
import { parseFlags } from './arguments.js';
import type { CommandIo } from './io.js';

export const DEMO_HELP = `Usage: ado-git-identity demo

Shows on this machine what the product does: a pod is patched by the webhook, its sidecar fetches a token, and git clones
and pushes, on good days and on bad ones. Entra, Azure DevOps, the API server and the kubelet are stand-ins on loopback;
the webhook, the sidecar and git are the real ones. Needs git 2.32 or later; with git-lfs it shows LFS too.

NO_COLOR=1 leaves out the colours.

Exit code 0 where everything was as it must be, 1 otherwise; 2 for a wrong command line.
`;

/** Runs `demo`; returns the exit code. */
export async function runDemo(argv: readonly string[], io: CommandIo): Promise<number> {
  parseFlags('demo', argv, {});
  const stop = io.stopSignal();
  const colours = (io.env['NO_COLOR'] ?? '') === '' && io.env['TERM'] !== 'dumb';
  const terminal = createTerminal({ write: io.stdout, isTerminal: io.isTerminal, colours });
  terminal.open(
    `${PRODUCT} ${VERSION}: a pod gets to its git repositories`,
    'The webhook, the sidecar and git are the real programs, and the URLs are real ones. Entra, Azure DevOps, the API ' +
      'server and the kubelet are stand-ins of this demo, on loopback.',
  );
  const bundles = dirname(await realpath(process.argv[1] ?? ''));
  const directory = await mkdtemp(join(await realpath(tmpdir()), `${PRODUCT}-demo-`));
  try {
    const passed = await runChapters({ bundles, directory, searchPath: io.env['PATH'] ?? '', terminal, stop });
    return passed ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

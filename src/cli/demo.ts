/** `demo`: shows the way of a pod to its repository on one machine. Its code is in a bundle that the image does not have. */
import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ProductError } from '../errors.js';
import { PRODUCT } from '../names.js';
import { parseFlags } from './arguments.js';
import type { CommandIo } from './io.js';

export const DEMO_HELP = `Usage: ${PRODUCT} demo

Shows on this machine what the product does: the webhook patches a pod, the pod's sidecar gets a token, and git clones and
pushes, also while Entra is down. Entra, Azure DevOps, the API server and the kubelet are emulators on the loopback
interface; the webhook, the sidecar and git are the real programs. Needs git 2.32 or later; with git-lfs it shows LFS too.

The demo is in the npm package, not in the image: npx ${PRODUCT} demo

NO_COLOR=1 leaves out the colours.

Exit code 0 when all steps pass, 1 otherwise; 2 for a wrong command line, or where the demo is not installed.
`;

/** Runs `demo`; returns the exit code. */
export async function runDemoCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  parseFlags('demo', argv, {});
  const { runDemo } = await loadDemo();
  return await runDemo({
    bundles: dirname(await realpath(io.programFile)),
    searchPath: io.env['PATH'] ?? '',
    write: io.stdout,
    isTerminal: io.isTerminal,
    colours: (io.env['NO_COLOR'] ?? '') === '' && io.env['TERM'] !== 'dumb',
    stop: io.stopSignal(),
  });
}

async function loadDemo(): Promise<typeof import('../demo/main.js')> {
  try {
    return await import('../demo/main.js');
  } catch (error) {
    const { code, message: cause } = error as NodeJS.ErrnoException;
    if (code !== 'MODULE_NOT_FOUND' || !cause.includes('demo.cjs')) throw error;
    const message = `the demo is in the npm package and not installed here; run it with: npx ${PRODUCT} demo`;
    throw new ProductError('usage', message, { cause: error });
  }
}

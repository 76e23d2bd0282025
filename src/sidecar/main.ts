/** The process of `dist/sidecar.cjs`: environment, arguments, streams and signals. */
import { reportError } from '../errors.js';
import { listenToSignals } from '../signals.js';
import { runSidecarCommand } from './command.js';

const writeError = (text: string): unknown => process.stderr.write(text);

// No top-level await: the bundle is CommonJS.
void runSidecarCommand(process.argv.slice(2), {
  env: process.env,
  stdout: (text) => process.stdout.write(text),
  stderr: writeError,
  stopSignal: () => listenToSignals(process),
})
  .catch((error: unknown) => reportError('sidecar', error, writeError))
  .then((code) => process.exit(code));

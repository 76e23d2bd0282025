/** The webhook's process: environment, streams and signals. */
import { connect } from '../kubernetes/connect.js';
import { listenToSignals } from '../signals.js';
import { runWebhook } from './run.js';

// Keep serving when the log's reader closes the pipe.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

// No top-level await: the bundle is CommonJS.
void runWebhook({
  env: process.env,
  connect,
  writeLog: (lines) => process.stdout.write(lines),
  writeError: (lines) => process.stderr.write(lines),
  stop: listenToSignals(process),
}).then((code) => {
  process.exitCode = code;
});

/** The webhook's process: environment, streams and signals. */
import { runWebhook } from './run.js';

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    // Who asks twice does not want to wait for the drain.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}

// Whoever reads the log may go away; pods are admitted all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

// No top-level await: the bundle is CommonJS.
void runWebhook({
  env: process.env,
  writeLog: (lines) => process.stdout.write(lines),
  writeError: (lines) => process.stderr.write(lines),
  stop: stop.signal,
}).then((code) => {
  process.exitCode = code;
});

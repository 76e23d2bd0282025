/** The webhook's process: environment, streams and signals. */
import { ConfigurationError } from '../errors.js';
import type { Connect } from '../kubernetes/connection.js';
import { connectInPod } from '../kubernetes/in-cluster.js';
import { PRODUCT, WEBHOOK_ENV } from '../names.js';
import { listenToSignals } from '../signals.js';
import { runWebhook } from './run.js';

/** What reads kubeconfig files would cost every pod memory: the command line has it. */
const connect: Connect = async (settings, now) => {
  if (settings.kind === 'pod') return connectInPod(settings, now);
  throw new ConfigurationError([
    `${WEBHOOK_ENV.kubeconfig} is set, but webhook.cjs runs in a pod only; run "${PRODUCT} webhook", which reads it.`,
  ]);
};

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

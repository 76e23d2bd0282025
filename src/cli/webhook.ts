/** The command `webhook`: the server that the image runs as `webhook.cjs`. */
import { DEFAULT_HEALTH_PORT, DEFAULT_LISTEN_PORT } from '../defaults.js';
import { connect } from '../kubernetes/connect.js';
import { PRODUCT, WEBHOOK_ENV } from '../names.js';
import { runWebhook } from '../webhook/run.js';
import { parseFlags } from './arguments.js';
import type { CommandIo } from './io.js';

export const WEBHOOK_HELP = `Usage: ${PRODUCT} webhook

Serves admission requests over TLS at /mutate. Configured by environment variables:

  ${WEBHOOK_ENV.sidecarImage}   image of the sidecar (required)
  ${WEBHOOK_ENV.tlsMode}        files (the default): certificate and key come from the next two;
                          managed: it makes them itself, and needs the two after those
  ${WEBHOOK_ENV.tlsCertFile}   certificate, PEM; read again when it changes
  ${WEBHOOK_ENV.tlsKeyFile}    its private key, PEM
  ${WEBHOOK_ENV.namespace}, ${WEBHOOK_ENV.podName}
                          where it runs
  ${WEBHOOK_ENV.kubeconfig}              how to reach the API server, outside a cluster
  ${WEBHOOK_ENV.listenPort}     port for the API server (${DEFAULT_LISTEN_PORT})
  ${WEBHOOK_ENV.healthPort}     plain port for /healthz, /readyz and /metrics (${DEFAULT_HEALTH_PORT})
  ${WEBHOOK_ENV.clientId}, ${WEBHOOK_ENV.tenantId}, ${WEBHOOK_ENV.authorityHost}
                          identity where the service account names none; Entra
  ${WEBHOOK_ENV.logLevel}       error, warn, info or debug

docs/settings.md lists the rest. Logs are JSON lines on standard output.
Exit code 0 after SIGTERM; 1 where it could not run; 2 for a wrong configuration.
`;

/** Runs until SIGTERM; returns the exit code. */
export async function runWebhookCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  parseFlags('webhook', argv, {});
  const { env, stdout: writeLog, stderr: writeError } = io;
  return await runWebhook({ env, connect, writeLog, writeError, stop: io.stopSignal() });
}

/** The command `webhook`: the server that the image runs as `webhook.cjs`. */
import { DEFAULT_HEALTH_PORT, DEFAULT_LISTEN_PORT, PRODUCT, WEBHOOK_ENV } from '../names.js';
import { runWebhook } from '../webhook/run.js';
import { parseFlags } from './arguments.js';
import type { CommandIo } from './io.js';

export const WEBHOOK_HELP = `Usage: ${PRODUCT} webhook

Serves admission requests over TLS at /mutate. Configured by environment variables:

  ${WEBHOOK_ENV.tlsCertFile}   certificate, PEM; read again when it changes (required)
  ${WEBHOOK_ENV.tlsKeyFile}    its private key, PEM (required)
  ${WEBHOOK_ENV.sidecarImage}   image of the sidecar (required)
  KUBECONFIG              how to reach the API server, outside a cluster
  ${WEBHOOK_ENV.listenPort}     port for the API server (${DEFAULT_LISTEN_PORT})
  ${WEBHOOK_ENV.healthPort}     plain port for /healthz, /readyz and /metrics (${DEFAULT_HEALTH_PORT})
  ${WEBHOOK_ENV.clientId}, ${WEBHOOK_ENV.tenantId}, ${WEBHOOK_ENV.authorityHost}
                          identity where the service account names none; Entra
  ${WEBHOOK_ENV.logLevel}       error, warn, info or debug

README.md lists the rest. Logs are JSON lines on standard output.
Exit code 0 after SIGTERM; 1 where it could not run; 2 for a wrong configuration.
`;

/** Runs until SIGTERM; returns the exit code. */
export async function runWebhookCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  parseFlags('webhook', argv, {});
  return await runWebhook({ env: io.env, writeLog: io.stdout, writeError: io.stderr, stop: io.stopSignal() });
}

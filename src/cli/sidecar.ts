/** The command `sidecar`: the program that the image runs as `sidecar.cjs`. */
import {
  DEFAULT_AUTHORITY_HOST,
  DEFAULT_SIDECAR_PORT,
  PRODUCT,
  SIDECAR_ENV,
  STATE_DIRECTORY,
  TOKEN_DIRECTORY,
  TOKEN_FILE,
} from '../names.js';
import { runSidecar } from '../sidecar/run.js';
import { parseFlags } from './arguments.js';
import type { CommandIo } from './io.js';

export const SIDECAR_HELP = `Usage: ${PRODUCT} sidecar

Exchanges a projected service account token at Entra for an Azure DevOps token, and keeps it fresh for git's credential
helper. Configured by environment variables:

  ${SIDECAR_ENV.clientId}       client id of the identity (required)
  ${SIDECAR_ENV.tenantId}       tenant (required)
  ${SIDECAR_ENV.authorityHost}  Entra (${DEFAULT_AUTHORITY_HOST})
  ${SIDECAR_ENV.tokenFile}      projected token (${TOKEN_DIRECTORY}/${TOKEN_FILE})
  ${SIDECAR_ENV.directory}       where credentials and status are written (${STATE_DIRECTORY})
  ${SIDECAR_ENV.port}            port of /healthz, /startz, /readyz and /metrics (${DEFAULT_SIDECAR_PORT}); 0: a socket in the directory
  ${SIDECAR_ENV.startup}         proceed, wait or require
  ${SIDECAR_ENV.extraCa}        more certificate authorities: PEM, or the path of a file
  ${SIDECAR_ENV.logLevel}       error, warn, info or debug
  ${SIDECAR_ENV.httpsProxy}, ${SIDECAR_ENV.noProxy}    proxy on the way to Entra

Logs are JSON lines on standard output.
Exit code 0 after SIGTERM; 1 where it could not run; 2 for a wrong configuration.
`;

/** Runs until SIGTERM; returns the exit code. */
export async function runSidecarCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  parseFlags('sidecar', argv, {});
  return await runSidecar({ env: io.env, writeLog: io.stdout, writeError: io.stderr, stop: io.stopSignal() });
}

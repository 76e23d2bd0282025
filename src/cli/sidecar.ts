/** The command `sidecar`: the program that the image runs as `sidecar.cjs`, with the same arguments. */
import { DEFAULT_AUTHORITY_HOST, DEFAULT_SIDECAR_PORT } from '../defaults.js';
import { LOG_LEVELS, NO_PORT, SIDECAR_ENV, STARTUPS, STATE_DIRECTORY, TOKEN_DIRECTORY, TOKEN_FILE } from '../names.js';
import { SIDECAR_USAGE } from '../sidecar/command.js';

export { runSidecarCommand } from '../sidecar/command.js';

export const SIDECAR_HELP = `${SIDECAR_USAGE}
The sidecar exchanges a projected service account token at Entra for an Azure DevOps token, and renews it for git's
credential helper. Its settings:

  ${SIDECAR_ENV.clientId}       client id of the identity (required)
  ${SIDECAR_ENV.tenantId}       tenant (required)
  ${SIDECAR_ENV.authorityHost}  Entra (${DEFAULT_AUTHORITY_HOST})
  ${SIDECAR_ENV.tokenFile}      projected token (${TOKEN_DIRECTORY}/${TOKEN_FILE})
  ${SIDECAR_ENV.directory}       where credentials and status are written (${STATE_DIRECTORY})
  ${SIDECAR_ENV.port}            port of /healthz, /startz, /readyz and /metrics (${DEFAULT_SIDECAR_PORT}); ${NO_PORT}: a socket in the directory
  ${SIDECAR_ENV.startup}         ${STARTUPS.join(', ')}
  ${SIDECAR_ENV.extraCa}        more certificate authorities: PEM, or the path of a file
  ${SIDECAR_ENV.logLevel}       ${LOG_LEVELS.join(', ')}
  ${SIDECAR_ENV.httpsProxy}, ${SIDECAR_ENV.noProxy}    proxy on the way to Entra
`;

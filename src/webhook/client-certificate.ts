/** Whether a caller is the API server, by its client certificate: decided before a body is read. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Logger } from '../log.js';
import type { Milliseconds } from '../time.js';
import { quote } from '../values/text.js';
import { type AdmissionAnswer, answerFailure, type Failure } from './admission.js';
import { createBudget } from './budget.js';

type ClientRefusal = Pick<Failure, 'status' | 'reason' | 'message'>;

/** @returns the answer to a caller that is not served. */
export type ClientCheck = (socket: Socket) => AdmissionAnswer | undefined;

/** How often it is logged as a warning: a stranger may call as often as it likes. */
const REFUSALS_LOGGED = { burst: 5, perSecond: 1 / 60 };
const DOCUMENTATION = 'see "Who can reach the port" in docs/operate.md';

/**
 * @param commonNames that are accepted; with none, every certificate of the authority.
 * @param clock one of which only differences count.
 */
export function createClientCheck(commonNames: readonly string[], log: Logger, clock: () => Milliseconds): ClientCheck {
  const budget = createBudget({ total: REFUSALS_LOGGED, each: REFUSALS_LOGGED, clock });
  return (socket) => {
    const refusal = refuseClient(socket, commonNames);
    if (refusal === undefined) return undefined;
    const writer: Pick<Logger, 'warn'> = budget.take('')
      ? log
      : { warn: (message, fields) => log.debug(message, fields) };
    return answerFailure(writer, { ...refusal, outcome: 'refused' });
  };
}

/**
 * The handshake has verified the certificate, or not: the server asks for one, and must not insist on it, as a refused
 * handshake has no message.
 */
function refuseClient(socket: Socket, commonNames: readonly string[]): ClientRefusal | undefined {
  const tls = socket instanceof TLSSocket ? socket : undefined;
  const certificate = tls?.getPeerX509Certificate();
  // First: node takes a resumed TLS 1.3 session for authorized, also where it never had a certificate.
  if (tls === undefined || certificate === undefined) {
    const message = `the API server's client certificate is required, and none was sent; ${DOCUMENTATION}`;
    return { status: 401, reason: 'Unauthorized', message };
  }
  if (!tls.authorized) {
    // Node's types say that it is an error, and it is the code of one.
    const cause = String(tls.authorizationError);
    return forbid(`the client certificate is not one of the API server's authority: ${cause}; ${DOCUMENTATION}`);
  }
  const { CN: commonName } = tls.getPeerCertificate().subject;
  // A subject with several common names gives a list, which is none of them.
  if (commonNames.length === 0 || commonNames.some((accepted) => accepted === commonName)) return undefined;
  return forbid(`the client certificate's common name ${quote(String(commonName))} is not accepted; ${DOCUMENTATION}`);
}

function forbid(message: string): ClientRefusal {
  return { status: 403, reason: 'Forbidden', message };
}

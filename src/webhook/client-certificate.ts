/** Whether a caller is the API server, by its client certificate: decided before a body is read. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { quote } from '../values/text.js';
import type { Refusal } from './request-head.js';

const DOCUMENTATION = 'see "Who can reach the port" in docs/operate.md';

/**
 * The handshake has verified the certificate, or not: the server asks for one, and must not insist on it, as a refused
 * handshake has no message.
 * @param commonNames that are accepted; with none, every certificate of the authority.
 * @returns why the caller is not served.
 */
export function judgeClient(socket: Socket, commonNames: readonly string[]): Refusal | undefined {
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

function forbid(message: string): Refusal {
  return { status: 403, reason: 'Forbidden', message };
}

/** Applications of the stand-in for Entra, and which of their federated credentials an assertion matches. */
import { decodeJwt, type JWTPayload } from 'jose';
import { type Refusal, refuse } from './refusals.js';

export interface FederatedCredential {
  readonly issuer: string;
  /** Compared with upper and lower case. */
  readonly subject: string;
  readonly audience: string;
}

export interface Application {
  readonly clientId: string;
  readonly tenantId: string;
  readonly federatedCredentials: readonly FederatedCredential[];
  readonly disabled?: boolean;
}

/** Which part of the assertion no federated credential of the application holds, as Entra narrows it down. */
export function matchCredential(
  { clientId, federatedCredentials }: Application,
  claims: JWTPayload,
): Refusal | undefined {
  const { iss = '', sub = '', aud } = claims;
  const audiences = typeof aud === 'string' ? [aud] : (aud ?? []);
  if (federatedCredentials.length === 0) return refuse.noCredential(clientId);
  const sameIssuer = federatedCredentials.filter(({ issuer }) => issuer === iss);
  if (sameIssuer.length === 0) return refuse.issuer(iss);
  const sameSubject = sameIssuer.filter(({ subject }) => subject === sub);
  if (sameSubject.length === 0) return refuse.subject(sub);
  const same = sameSubject.some(({ audience }) => audiences.includes(audience));
  return same ? undefined : refuse.audience(audiences.join(' '));
}

/** The claims, unverified; `undefined` where it is no JWT. */
export function decodeAssertion(assertion: string): JWTPayload | undefined {
  try {
    return decodeJwt(assertion);
  } catch {
    return undefined;
  }
}

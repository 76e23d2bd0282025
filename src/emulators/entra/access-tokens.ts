/** The access tokens that Entra has issued. */
import { randomBytes, randomUUID } from 'node:crypto';
import { AZURE_DEVOPS_APPLICATION_ID } from '../../names.js';
import { addMs, type EpochMs, toEpochSeconds } from '../../time.js';
import type { Application } from './directory.js';

/** What Entra knows about an access token that it has issued. */
export interface AccessToken {
  readonly clientId: string;
  readonly tenantId: string;
  readonly expiresAtMs: EpochMs;
}

export interface TokenLifetime {
  readonly lifetimeSeconds: number;
  /** `refresh_in` of the answer; left out where it is `undefined`. */
  readonly refreshInSeconds: number | undefined;
}

export type AccessTokens = ReturnType<typeof createAccessTokens>;

export function createAccessTokens() {
  const tokens = new Map<string, AccessToken>();
  return {
    /** Issues a token; returns the JSON object of Entra's answer. */
    issue: (application: Application, { lifetimeSeconds, refreshInSeconds }: TokenLifetime, now: EpochMs): object => {
      const { clientId, tenantId } = application;
      const expiresAtMs = addMs(now, lifetimeSeconds * 1000);
      const exp = toEpochSeconds(expiresAtMs);
      const token = createOpaqueToken({ aud: AZURE_DEVOPS_APPLICATION_ID, appid: clientId, tid: tenantId, exp });
      tokens.set(token, { clientId, tenantId, expiresAtMs });
      return {
        token_type: 'Bearer',
        expires_in: lifetimeSeconds,
        ext_expires_in: lifetimeSeconds,
        // JSON leaves out what is undefined.
        refresh_in: refreshInSeconds,
        access_token: token,
      };
    },
    /** Finds expired tokens too; `undefined` for one that was never issued or is revoked. */
    find: (token: string): AccessToken | undefined => tokens.get(token),
    /** Revokes one token, or all. */
    revoke: (token?: string): void => {
      if (token === undefined) tokens.clear();
      else tokens.delete(token);
    },
  };
}

/** Has the shape of a JWT, as real ones do; its signature is random, as only Azure DevOps may verify it. */
function createOpaqueToken(claims: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signature = randomBytes(256).toString('base64url');
  return `${encode({ typ: 'JWT', alg: 'RS256' })}.${encode({ ...claims, uti: randomUUID() })}.${signature}`;
}

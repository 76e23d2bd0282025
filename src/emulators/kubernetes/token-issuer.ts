/** The issuer of a cluster: it signs service account tokens with a real key and publishes the public one. */
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose';
import { type Now, toEpochSeconds } from '../../time.js';

export interface ProjectedTokenRequest {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly audience: string;
  readonly lifetimeSeconds: number;
}

export interface TokenIssuer {
  /** URL: `iss` of the tokens. */
  readonly issuer: string;
  /** The public keys, as the cluster publishes them at `openid/v1/jwks`. */
  readonly keys: JSONWebKeySet;
  /** A token with the claims of a projected one. */
  readonly mintToken: (request: ProjectedTokenRequest) => Promise<string>;
}

/** Creates the issuer with a new key. */
export async function createTokenIssuer(issuer: string, now: Now): Promise<TokenIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const keyId = randomUUID();
  const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: keyId, alg: 'RS256', use: 'sig' }] };
  const uids = { node: randomUUID(), pod: randomUUID(), serviceAccount: randomUUID() };

  return {
    issuer,
    keys,
    mintToken: ({ namespace, serviceAccount, pod, audience, lifetimeSeconds }) => {
      const issuedAt = toEpochSeconds(now());
      const bound = {
        namespace,
        node: { name: 'demo-node', uid: uids.node },
        pod: { name: pod, uid: uids.pod },
        serviceaccount: { name: serviceAccount, uid: uids.serviceAccount },
      };
      return new SignJWT({ 'kubernetes.io': bound })
        .setProtectedHeader({ alg: 'RS256', kid: keyId })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
        .setAudience([audience])
        .setJti(randomUUID())
        .setIssuedAt(issuedAt)
        .setNotBefore(issuedAt)
        .setExpirationTime(issuedAt + lifetimeSeconds)
        .sign(privateKey);
    },
  };
}

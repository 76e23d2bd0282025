/** What a cluster does for Entra: it signs service account tokens with a real key and publishes the other half. */
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose';

export interface ProjectedTokenRequest {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly audience: string;
  readonly lifetimeSeconds: number;
}

export interface TokenIssuer {
  /** URL that stands as `iss` in the tokens. */
  readonly issuer: string;
  /** The public keys, as the cluster publishes them at `openid/v1/jwks`. */
  readonly keys: JSONWebKeySet;
  /** A token with the claims that the API server writes into a projected one. */
  readonly mintToken: (request: ProjectedTokenRequest) => Promise<string>;
}

/** @param now milliseconds since 1970. */
export async function createTokenIssuer(issuer: string, now: () => number): Promise<TokenIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const keyId = randomUUID();
  const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: keyId, alg: 'RS256', use: 'sig' }] };
  const uids = { node: randomUUID(), pod: randomUUID(), serviceAccount: randomUUID() };

  return {
    issuer,
    keys,
    mintToken: ({ namespace, serviceAccount, pod, audience, lifetimeSeconds }) => {
      const issuedAt = Math.floor(now() / 1000);
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

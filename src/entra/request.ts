/** The exchange's request: client credentials with a federated assertion (RFC 7523 section 2.2). PURE. */
import { AZURE_DEVOPS_SCOPE, PRODUCT } from '../names.js';
import { VERSION } from '../version.js';
import type { Identity } from './identity.js';

export interface TokenRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A request for an Azure DevOps token. Its body holds the assertion: never log it. */
export function buildTokenRequest(identity: Identity, assertion: string): TokenRequest {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: identity.clientId,
    scope: AZURE_DEVOPS_SCOPE,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
  }).toString();
  return {
    url: `${identity.authority}/${identity.tenantId}/oauth2/v2.0/token`,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': String(body.length),
      accept: 'application/json',
      'user-agent': `${PRODUCT}/${VERSION}`,
    },
    body,
  };
}

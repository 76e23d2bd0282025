/**
 * Everything around the product in one emulator: Entra and Azure DevOps under their real names, look-alike hosts that must
 * get no credential, a cluster that signs tokens, and the proxy and certificate authority through which they are reached.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAuthority, issueCertificate } from '../certificates/authority.js';
import type { KeyedCertificate } from '../certificates/pair.js';
import { DEFAULT_AUTHORITY_HOST } from '../defaults.js';
import { TOKEN_AUDIENCE } from '../names.js';
import { epochMs, type Now } from '../time.js';
import { createOrganizations } from './azure-devops/organizations.js';
import { type Access, type AzureDevOpsEmulator, startAzureDevOpsEmulator } from './azure-devops/server.js';
import type { FederatedCredential } from './entra/directory.js';
import { type EntraEmulator, startEntraEmulator } from './entra/token-endpoint.js';
import { createTokenIssuer, type TokenIssuer } from './kubernetes/token-issuer.js';
import { type ConnectProxy, startConnectProxy } from './network/connect-proxy.js';
import { type CredentialTrap, startCredentialTrap } from './network/credential-trap.js';

export const TENANT_ID = '7f3d1c52-9a0b-4e6d-8c21-5b1f0a9e4d37';
const ISSUER = 'https://oidc.cluster.example/';
/** Hosts whose names look like Azure DevOps, and one other host. */
const LOOK_ALIKES = ['dev.azure.com.evil.example', 'evil.example', 'dev-azure.com'] as const;

const ENTRA_HOST = new URL(DEFAULT_AUTHORITY_HOST).hostname;

/** One application of the tenant: the service account that may use it, and its access in Azure DevOps. */
export interface EmulatedIdentity {
  readonly clientId: string;
  /** `NAMESPACE:SERVICEACCOUNT` of its federated credential; without it there is none at first. */
  readonly subject?: string;
  /** By organization; it is not a member of others. */
  readonly access: Readonly<Record<string, Access>>;
}

export interface AzureEmulatorOptions {
  /** An empty directory, for repositories and certificates. */
  readonly directory: string;
  readonly identities: readonly EmulatedIdentity[];
  /** Where `git` is found. */
  readonly searchPath: string;
}

export interface AzureEmulator {
  readonly authority: KeyedCertificate;
  readonly authorityFile: string;
  readonly issuer: TokenIssuer;
  readonly entra: EntraEmulator;
  readonly azureDevOps: AzureDevOpsEmulator;
  readonly trap: CredentialTrap;
  readonly proxy: ConnectProxy;
  /** The variables with which git reaches the emulators under the real names. */
  readonly networkEnv: Readonly<Record<string, string>>;
  readonly close: () => Promise<void>;
}

/** Starts all parts. */
export async function startAzureEmulator({
  directory,
  identities,
  searchPath,
}: AzureEmulatorOptions): Promise<AzureEmulator> {
  const now: Now = () => epochMs(Date.now());
  const authority = await createAuthority({ commonName: 'emulated authority', days: 1, now: now() });
  const dnsNames = ['dev.azure.com', '*.visualstudio.com', ENTRA_HOST, 'localhost', ...LOOK_ALIKES];
  const certificate = await issueCertificate(authority, { commonName: 'emulators', dnsNames, days: 1, now: now() });
  const authorityFile = join(directory, 'authority.pem');
  await writeFile(authorityFile, authority.certificatePem);

  // Whatever can fail comes before the first port is opened.
  const root = join(directory, 'repositories');
  const organizations = await createOrganizations(root, TENANT_ID, listMembers(identities), searchPath);
  const issuer = await createTokenIssuer(ISSUER, now);
  const entra = await startEntraEmulator({
    certificate,
    tenants: { [TENANT_ID]: ['contoso.example'] },
    applications: identities.map(({ clientId, subject }) => ({
      clientId,
      tenantId: TENANT_ID,
      federatedCredentials: subject === undefined ? [] : [federate(subject)],
    })),
    findKeys: (url) => (url === ISSUER ? issuer.keys : undefined),
    now,
  });
  const azureDevOps = await startAzureDevOpsEmulator({
    certificate,
    root,
    organizations,
    findToken: (token) => entra.findToken(token),
    now,
    searchPath,
  });
  const trap = await startCredentialTrap(certificate);
  const proxy = await startConnectProxy((host, port) => {
    if (port !== 443) return port === 80 ? trap.plainPort : trap.tlsPort;
    if (host === ENTRA_HOST) return entra.port;
    if (host === 'dev.azure.com' || host.endsWith('.visualstudio.com')) return azureDevOps.port;
    return LOOK_ALIKES.some((name) => name === host) ? trap.tlsPort : undefined;
  });
  return {
    authority,
    authorityFile,
    issuer,
    entra,
    azureDevOps,
    trap,
    proxy,
    networkEnv: { https_proxy: proxy.url, http_proxy: proxy.url, GIT_SSL_CAINFO: authorityFile },
    close: async () => {
      await Promise.all([proxy.close(), entra.close(), azureDevOps.close(), trap.close()]);
    },
  };
}

/** The federated credential of a service account, `NAMESPACE:SERVICEACCOUNT`, of the emulated cluster. */
export function federate(serviceAccount: string): FederatedCredential {
  return { issuer: ISSUER, subject: `system:serviceaccount:${serviceAccount}`, audience: TOKEN_AUDIENCE };
}

/** Access by organization, then by client id. */
function listMembers(
  identities: readonly EmulatedIdentity[],
): Readonly<Record<string, Readonly<Record<string, Access>>>> {
  const members: Record<string, Record<string, Access>> = {};
  for (const { clientId, access } of identities) {
    for (const [organization, may] of Object.entries(access)) (members[organization] ??= {})[clientId] = may;
  }
  return members;
}

/** The emulators of Entra and Azure DevOps, at the address to which the cluster resolves their names: `startAzure`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JSONWebKeySet } from 'jose';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import {
  type AzureDevOpsEmulator,
  createOrganizations,
  type EntraEmulator,
  startAzureDevOpsEmulator,
  startEntraEmulator,
} from '../../src/emulators/index.js';
import { TOKEN_AUDIENCE } from '../../src/names.js';
import { epochMs } from '../../src/time.js';
import { waitForEvent } from '../support/wait.js';
import type { Api } from './api.js';

export const TENANT_ID = '7f3d1c52-9a0b-4e6d-8c21-5b1f0a9e4d37';
export const CLIENT_ID = '2b6f7a10-5c4d-4e8f-9a3b-1d2c3e4f5a6b';
/** For the pod whose service account token is replaced, so that its exchanges can be counted separately. */
export const ROTATED_CLIENT_ID = '4c8e1d7a-6b3f-4a29-9d50-7e2f8b1c3a64';
const ENTRA = 'login.microsoftonline.com';

/** Life of Entra's tokens unless a case sets another: short, so that every pod that runs for a while renews. */
export const TOKEN_SECONDS = 60;

export interface Azure {
  readonly authorityPem: string;
  readonly authorityFile: string;
  readonly entra: EntraEmulator;
  readonly azureDevOps: AzureDevOpsEmulator;
  /** Adds a federated credential: the service account may use the identity. */
  federate(namespace: string, serviceAccount: string, clientId?: string): void;
  close(): Promise<void>;
}

/** Starts both; Entra verifies tokens with the cluster's own keys. */
export async function startAzure(api: Api, address: string): Promise<Azure> {
  const { issuer } = (await api.get('/.well-known/openid-configuration')) as { issuer: string };
  const keys = (await api.get('/openid/v1/jwks')) as JSONWebKeySet;
  const authority = await createAuthority({ commonName: 'emulators', days: 1, now: epochMs(Date.now()) });
  const dnsNames = [ENTRA, 'dev.azure.com', '*.visualstudio.com', 'localhost'];
  const certificate = await issueCertificate(authority, {
    commonName: 'emulators',
    dnsNames,
    days: 1,
    now: epochMs(Date.now()),
  });
  const entra = await startEntraEmulator({
    certificate,
    tenants: { [TENANT_ID]: ['contoso.example'] },
    applications: [CLIENT_ID, ROTATED_CLIENT_ID].map((clientId) => ({
      clientId,
      tenantId: TENANT_ID,
      federatedCredentials: [],
    })),
    tokenLifetimeSeconds: TOKEN_SECONDS,
    findKeys: (url) => (url === issuer ? keys : undefined),
    now: () => epochMs(Date.now()),
  });
  const root = await mkdtemp(join(tmpdir(), 'ado-git-cluster-'));
  const authorityFile = join(root, 'authority.pem');
  await writeFile(authorityFile, authority.certificatePem);
  const searchPath = process.env['PATH'] ?? '';
  const members = {
    contoso: { [CLIENT_ID]: 'write', [ROTATED_CLIENT_ID]: 'read' },
    fabrikam: { [CLIENT_ID]: 'read' },
  } as const;
  const azureDevOps = await startAzureDevOpsEmulator({
    certificate,
    root,
    organizations: await createOrganizations(root, TENANT_ID, members, searchPath),
    findToken: (token) => entra.findToken(token),
    now: () => epochMs(Date.now()),
    searchPath,
  });
  const closeRouter = await startRouter(address, (name) => (name === ENTRA ? entra.port : azureDevOps.port));
  const subjects = new Map([CLIENT_ID, ROTATED_CLIENT_ID].map((clientId) => [clientId, new Set<string>()]));
  return {
    authorityPem: authority.certificatePem,
    authorityFile,
    entra,
    azureDevOps,
    federate: (namespace, serviceAccount, clientId = CLIENT_ID) => {
      const own = subjects.get(clientId)?.add(`system:serviceaccount:${namespace}:${serviceAccount}`) ?? [];
      entra.setFederatedCredentials(
        clientId,
        [...own].map((subject) => ({ issuer, subject, audience: TOKEN_AUDIENCE })),
      );
    },
    close: async () => {
      await closeRouter();
      await Promise.all([entra.close(), azureDevOps.close()]);
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Forwards TLS connections, unopened, by the server name in the client's first message. */
async function startRouter(address: string, choosePort: (name: string) => number): Promise<() => Promise<void>> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client);
    client.once('close', () => sockets.delete(client));
    client.on('error', () => client.destroy());
    client.once('data', (hello: Buffer) => {
      client.pause();
      // The ClientHello holds the name unencrypted (RFC 6066); no other extension of these clients holds it.
      const port = choosePort(hello.includes(ENTRA) ? ENTRA : '');
      const upstream = connect(port, '127.0.0.1', () => {
        upstream.write(hello);
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
      upstream.once('close', () => client.destroy());
      client.once('close', () => upstream.destroy());
    });
  });
  server.listen(443, address);
  await waitForEvent('the server listens', server, 'listening');
  return async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
}

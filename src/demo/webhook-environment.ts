/** The webhook's environment: certificate files, a kubeconfig, and an API server with service accounts. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { issueCertificate } from '../certificates/authority.js';
import { type AzureEmulator, startApiServerEmulator, TENANT_ID } from '../emulators/index.js';
import { AZURE_ANNOTATION, PRODUCT, WEBHOOK_ENV, WEBHOOK_NAME, webhookHost } from '../names.js';
import { epochMs } from '../time.js';

/** The name under which the API server calls the webhook. */
export const WEBHOOK_HOST = webhookHost(PRODUCT);

export interface Account {
  readonly name: string;
  /** Without it, the service account names no identity. */
  readonly clientId?: string;
}

export interface WebhookEnvironment {
  /** All variables of the webhook's process. */
  readonly env: Readonly<Record<string, string>>;
  readonly close: () => Promise<void>;
}

/** Writes the files into the directory and starts the API server. */
export async function prepareWebhookEnvironment(
  azure: AzureEmulator,
  directory: string,
  namespace: string,
  accounts: readonly Account[],
): Promise<WebhookEnvironment> {
  const certificate = await issueCertificate(azure.authority, {
    commonName: WEBHOOK_NAME,
    dnsNames: [WEBHOOK_HOST, 'localhost'],
    days: 1,
    now: epochMs(Date.now()),
  });
  const token = 'webhook';
  const api = await startApiServerEmulator({ certificate, token });
  for (const { name, clientId } of accounts) {
    api.put(namespace, name, clientId === undefined ? {} : { [AZURE_ANNOTATION.clientId]: clientId });
  }
  const file = (name: string): string => join(directory, name);
  await writeFile(file('tls.crt'), certificate.certificatePem);
  await writeFile(file('tls.key'), certificate.keyPem, { mode: 0o600 });
  await writeFile(file('kubeconfig'), writeKubeconfig(`https://localhost:${api.port}`, azure.authorityFile, token));
  const env = {
    [WEBHOOK_ENV.kubeconfig]: file('kubeconfig'),
    [WEBHOOK_ENV.tlsCertFile]: file('tls.crt'),
    [WEBHOOK_ENV.tlsKeyFile]: file('tls.key'),
    [WEBHOOK_ENV.listenPort]: '0',
    [WEBHOOK_ENV.healthPort]: '0',
    [WEBHOOK_ENV.drainSeconds]: '0',
    [WEBHOOK_ENV.tenantId]: TENANT_ID,
    [WEBHOOK_ENV.sidecarImage]: `registry.example/${PRODUCT}:demo`,
    // As in a company's network: a proxy, and a certificate authority of its own.
    [WEBHOOK_ENV.sidecarHttpsProxy]: azure.proxy.url,
    [WEBHOOK_ENV.sidecarExtraCa]: azure.authority.certificatePem,
  };
  return { env, close: api.close };
}

/** JSON is YAML too. */
function writeKubeconfig(server: string, authorityFile: string, token: string): string {
  const name = 'demo';
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster: { server, 'certificate-authority': authorityFile } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
  });
}

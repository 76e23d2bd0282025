/** A kubeconfig for an API server of a test or a benchmark. */
import { Buffer } from 'node:buffer';

export interface KubeconfigOptions {
  readonly port: number;
  readonly token: string;
  readonly authorityPem: string;
}

/** The text of the file, as JSON, which is YAML too. */
export function renderKubeconfig({ port, token, authorityPem }: KubeconfigOptions): string {
  const name = 'test';
  const cluster = {
    server: `https://127.0.0.1:${port}`,
    'certificate-authority-data': Buffer.from(authorityPem).toString('base64'),
  };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster }],
    users: [{ name, user: { token } }],
  });
}

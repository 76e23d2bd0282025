/**
 * Where the Kubernetes API server is and how to authenticate: in a cluster from the pod's own service account, elsewhere
 * from KUBECONFIG. What reads the latter is loaded for it alone: it costs memory that a pod need not pay.
 */
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { describeError, ProductError } from '../errors.js';
import type { Connection, ConnectionSettings } from './connection.js';

const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews the token at 80 % of its life, an hour: once a minute is what client-go does. */
const TOKEN_LIFE_MS = 60_000;

/**
 * @param now milliseconds since 1970.
 * @throws ProductError `configuration`, naming the file or variable that is missing or wrong.
 */
export async function connect(settings: ConnectionSettings, now: () => number): Promise<Connection> {
  if (settings.kind === 'pod') return connectInPod(settings, now);
  const { connectByKubeconfig } = await import('./kubeconfig.js');
  return connectByKubeconfig(settings.path);
}

async function connectInPod(
  { serviceHost, servicePort }: Extract<ConnectionSettings, { kind: 'pod' }>,
  now: () => number,
): Promise<Connection> {
  const host = serviceHost.includes(':') ? `[${serviceHost}]` : serviceHost;
  let options: RequestOptions = {};
  let readAt = Number.NEGATIVE_INFINITY;
  const authorize = async (): Promise<RequestOptions> => {
    if (now() - readAt < TOKEN_LIFE_MS) return options;
    const [token, ca] = await Promise.all([readMounted('token'), readMounted('ca.crt')]);
    options = { ca, headers: { authorization: `Bearer ${token.trim()}` } };
    readAt = now();
    return options;
  };
  await authorize();
  return { server: new URL(`https://${host}:${servicePort}`), authorize };
}

async function readMounted(name: string): Promise<string> {
  const path = `${SERVICE_ACCOUNT_DIRECTORY}/${name}`;
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ProductError(
      'configuration',
      `${path} can't be read (${describeError(error)}): the webhook's pod needs automountServiceAccountToken`,
      { cause: error },
    );
  }
}

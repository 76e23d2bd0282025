/** Connects to the API server from a pod, by its service account's token and the files that the kubelet mounts. */
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { join } from 'node:path';
import { describeError, ProductError } from '../errors.js';
import type { EpochMs, Now } from '../time.js';
import type { Connection, PodSettings } from './connection.js';

const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews the token at 80 % of its life, an hour. client-go reads it once a minute, too. */
const REREAD_AFTER_MS = 60_000;

/** @throws ProductError `configuration` that names the file that can't be read. */
export async function connectInPod(
  { serviceHost, servicePort }: PodSettings,
  now: Now,
  directory = SERVICE_ACCOUNT_DIRECTORY,
): Promise<Connection> {
  const host = serviceHost.includes(':') ? `[${serviceHost}]` : serviceHost;
  let options: RequestOptions = {};
  let readAt: EpochMs | undefined;
  const authorize = async (): Promise<RequestOptions> => {
    if (readAt !== undefined && now() - readAt < REREAD_AFTER_MS) return options;
    const [token, ca] = await Promise.all([readMounted(directory, 'token'), readMounted(directory, 'ca.crt')]);
    options = { ca, headers: { authorization: `Bearer ${token.trim()}` } };
    readAt = now();
    return options;
  };
  await authorize();
  return { server: new URL(`https://${host}:${servicePort}`), authorize };
}

async function readMounted(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
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

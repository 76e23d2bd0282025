/** The exec probe: asks the running sidecar over its socket, where a port can't be probed. */
import { get } from 'node:http';
import { type Environment, readSettings } from '../values/environment.js';
import { readPlace } from './config.js';
import { locate } from './endpoints.js';

export const PROBES = ['healthz', 'startz', 'readyz'] as const;
export type Probe = (typeof PROBES)[number];

/** The kubelet's default for an exec probe is one second; a busy node needs more. */
const TIMEOUT_MS = 5_000;
const MAX_BODY_LENGTH = 4096;

/**
 * Asks the sidecar of this environment.
 * @returns undefined where it answers with 200, else why not: a line that the kubelet shows in an Event.
 * @throws ConfigurationError where the environment does not say where it listens.
 */
export async function probe(name: Probe, environment: Environment): Promise<string | undefined> {
  const place = locate(readSettings(environment, readPlace));
  return await new Promise((resolve) => {
    const request = get({ ...place, path: `/${name}`, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (body.length < MAX_BODY_LENGTH) body += chunk;
      });
      response.on('end', () => resolve(response.statusCode === 200 ? undefined : body));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve('The sidecar does not answer.\n'));
  });
}

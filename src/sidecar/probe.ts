/** The exec probe: asks the running sidecar over its socket, where a port can't be probed. */
import { get } from 'node:http';
import { type Environment, readSettings } from '../values/environment.js';
import { readPlace } from './config.js';
import { locate } from './endpoints.js';

export const PROBES = ['healthz', 'startz', 'readyz'] as const;
export type Probe = (typeof PROBES)[number];

/** The kubelet's default for an exec probe is one second; a busy node needs more. */
const TIMEOUT_MS = 5_000;

/**
 * Whether the sidecar of this environment answers the probe with 200.
 * @throws ConfigurationError where the environment does not say where it listens.
 */
export async function probe(name: Probe, environment: Environment): Promise<boolean> {
  const place = locate(readSettings(environment, readPlace));
  return await new Promise<boolean>((resolve) => {
    const request = get({ ...place, path: `/${name}`, timeout: TIMEOUT_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

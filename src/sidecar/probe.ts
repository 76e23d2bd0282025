/** The exec probe: asks the running sidecar over its socket, where a port can't be probed. */
import { get } from 'node:http';
import { SIDECAR_ENV, STATE_DIRECTORY } from '../names.js';
import type { Environment } from '../values/environment.js';
import { readPort } from './config.js';
import { locate } from './endpoints.js';

export const PROBES = ['healthz', 'startz', 'readyz'] as const;
export type Probe = (typeof PROBES)[number];

/** Milliseconds; kubelet gives an exec probe a second unless told otherwise, a starved node needs more. */
const DEADLINE = 5_000;

/** Whether the sidecar of this environment answers the probe with 200. */
export async function probe(name: Probe, environment: Environment): Promise<boolean> {
  const directory = environment[SIDECAR_ENV.directory] ?? STATE_DIRECTORY;
  const written = environment[SIDECAR_ENV.port]?.trim() ?? '';
  const port = readPort(written === '' ? undefined : written, () => undefined);
  return await new Promise<boolean>((resolve) => {
    const request = get({ ...locate({ directory, port }), path: `/${name}`, timeout: DEADLINE }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

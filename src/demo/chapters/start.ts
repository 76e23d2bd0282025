/** Second act: the kubelet starts the pod; the sidecar fetches a token. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import type { RunningPod } from '../../emulators/index.js';
import type { Pod } from '../../kubernetes/types.js';
import {
  CONFIG_DIRECTORY,
  SIDECAR_CONTAINER,
  STATE_DIRECTORY,
  STATE_FILE,
  TOKEN_DIRECTORY,
  TOKEN_FILE,
} from '../../names.js';
import { CONTAINER, type Context } from '../context.js';
import { describeValue } from '../format.js';
import { check, secondsSince } from '../steps.js';

const DEADLINE = 20_000;

/** Returns the running pod, with a token. */
export async function runStartChapter({ run, terminal, step, azure }: Context, patched: Pod): Promise<RunningPod> {
  terminal.chapter('The pod starts');
  const started = performance.now();
  const pod = await step(`volumes are made, and the sidecar ${SIDECAR_CONTAINER} runs`, () => run(patched));
  const claims = await step('the projected token is signed by the cluster; its claims:', async () => {
    const token = await readFile(pod.locate(join(TOKEN_DIRECTORY, TOKEN_FILE)), 'utf8');
    return decodeJwt(token);
  });
  terminal.show(describeValue(claims).map(explainTime));

  const status = await step(
    () => `Entra takes it and gives a token for Azure DevOps, ${secondsSince(started)} after the start`,
    async () => {
      await waitForToken(pod);
      return readStatus(pod);
    },
    'the sidecar exchanges it at Entra',
  );
  terminal.tell(`${STATE_DIRECTORY}/${STATE_FILE.status}: ${status}`);
  await step('the probes hold: /healthz, /startz and /readyz answer 200', async () => {
    for (const path of ['/healthz', '/startz', '/readyz']) {
      const code = await pod.probe(path);
      check(code === 200, `${path} answered ${code}`);
    }
    check(azure.entra.requests.length === 1, `Entra was asked ${azure.entra.requests.length} times`);
  });
  terminal.tell(`What a program in the container ${CONTAINER} finds:`);
  terminal.show(await describeSurroundings(pod, patched));
  return pod;
}

/** Times in a token are seconds since 1970. */
function explainTime(line: string): string {
  const seconds = /^(?:iat|nbf|exp): (\d+)$/.exec(line)?.[1];
  return seconds === undefined ? line : `${line} # ${new Date(Number(seconds) * 1000).toISOString()}`;
}

/** Waits until the sidecar has a token. */
export function waitForToken(pod: RunningPod): Promise<void> {
  return waitFor(
    async () => (await pod.probe('/readyz')) === 200,
    () => `the sidecar has no token:\n${pod.log.join('\n')}`,
  );
}

/** Asks again and again until it holds. */
export async function waitFor(holds: () => Promise<boolean>, problem: () => string): Promise<void> {
  const end = performance.now() + DEADLINE;
  while (!(await holds())) {
    check(performance.now() < end, problem());
    await sleep(50);
  }
}

async function readStatus(pod: RunningPod): Promise<string> {
  const text = await readFile(pod.locate(join(STATE_DIRECTORY, STATE_FILE.status)), 'utf8');
  const { identities } = JSON.parse(text) as { identities: { state: string; clientId: string; expiresAt: string }[] };
  const [identity] = identities;
  check(identity?.state === 'ready', `the status is not ready: ${text}`);
  return `state ${identity.state}, client ${identity.clientId}, until ${identity.expiresAt}`;
}

/** The environment that injection added, and the files, with the paths as they are in a container. */
async function describeSurroundings(pod: RunningPod, patched: Pod): Promise<string[]> {
  const container = patched.spec.containers.find(({ name }) => name === CONTAINER);
  const env = (container?.env ?? [])
    .filter(({ name }) => name.startsWith('GIT_'))
    .map(({ name, value }) => `${name}=${value ?? ''}`);
  const files: string[] = [];
  for (const directory of [CONFIG_DIRECTORY, STATE_DIRECTORY]) {
    for (const name of (await readdir(pod.locate(directory))).filter((entry) => !entry.startsWith('..')).sort()) {
      const path = join(directory, name);
      const { mode, size } = await stat(pod.locate(path));
      files.push(`${(mode & 0o777).toString(8)} ${String(size).padStart(5)} bytes  ${path}`);
    }
  }
  return [...env, ...files];
}

/** Chapter 2: the kubelet starts the pod, and the sidecar gets a token. */
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
import { type EpochSeconds, formatTime, toEpochMs } from '../../time.js';
import { CONTAINER, type Context } from '../context.js';
import { describeValue } from '../format.js';
import { check, formatSecondsSince } from '../steps.js';

const POLL_MS = 50;
const DEADLINE_MS = 20_000;

/** Returns the running pod, with a token. */
export async function runStartChapter({ run, terminal, step, azure }: Context, patched: Pod): Promise<RunningPod> {
  terminal.chapter('The pod starts');
  const started = performance.now();
  const pod = await step(`the volumes are created, and the sidecar ${SIDECAR_CONTAINER} runs`, () => run(patched));
  const claims = await step('the projected token is signed by the cluster; its claims:', async () => {
    const token = await readFile(pod.locate(join(TOKEN_DIRECTORY, TOKEN_FILE)), 'utf8');
    return decodeJwt(token);
  });
  terminal.show(describeValue(claims).map(explainTime));

  const status = await step(
    () => `Entra accepts it and issues a token for Azure DevOps, ${formatSecondsSince(started)} after the start`,
    async () => {
      await waitForToken(pod);
      return readStatus(pod);
    },
    'the sidecar exchanges it for a token',
  );
  terminal.explain(`${STATE_DIRECTORY}/${STATE_FILE.status}: ${status}`);
  await step('the probes pass: /healthz, /startz and /readyz answer 200', async () => {
    for (const path of ['/healthz', '/startz', '/readyz']) {
      const code = await pod.probe(path);
      check(code === 200, `${path} answered ${code}`);
    }
    check(azure.entra.requests.length === 1, `Entra got ${azure.entra.requests.length} requests`);
  });
  terminal.explain(`Variables and files for programs in the container ${CONTAINER}:`);
  terminal.show(await describeContainer(pod, patched));
  return pod;
}

/** Adds the date to a time in a token. */
function explainTime(line: string): string {
  const seconds = /^(?:iat|nbf|exp): (\d+)$/.exec(line)?.[1];
  return seconds === undefined ? line : `${line} # ${formatTime(toEpochMs(Number(seconds) as EpochSeconds))}`;
}

/** Waits until the sidecar has a token. */
export function waitForToken(pod: RunningPod): Promise<void> {
  return waitFor(
    async () => (await pod.probe('/readyz')) === 200,
    () => `the sidecar has no token:\n${pod.log.join('\n')}`,
  );
}

/** Waits until the condition holds. @throws Error with the problem, if it does not in time. */
export async function waitFor(condition: () => Promise<boolean>, problem: () => string): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    check(performance.now() < end, problem());
    await sleep(POLL_MS);
  }
}

async function readStatus(pod: RunningPod): Promise<string> {
  const text = await readFile(pod.locate(join(STATE_DIRECTORY, STATE_FILE.status)), 'utf8');
  const { identities } = JSON.parse(text) as { identities: { state: string; clientId: string; expiresAt: string }[] };
  const [identity] = identities;
  check(identity?.state === 'ready', `the status is not ready: ${text}`);
  return `state ${identity.state}, client ${identity.clientId}, until ${identity.expiresAt}`;
}

/** The injected variables, and the files with their paths in the container. */
async function describeContainer(pod: RunningPod, patched: Pod): Promise<string[]> {
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

/** Fourth act: what goes wrong in real life, and what git says then. */
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor, waitForToken } from './act-start.js';
import type { RunningPod } from './kubelet.js';
import { createPod, git, IDENTITIES, NAMESPACE, REPOSITORY, runGit, type Scene } from './scene.js';
import { federate } from './stage.js';
import { check, secondsSince } from './steps.js';

/** Life of the tokens of the account `hasty`, seconds. */
const SHORT_LIFE = 6;
const LS_REMOTE = ['ls-remote', REPOSITORY] as const;

/** @param builder the pod of the acts before, whose token is good for an hour. */
export async function playBadDays(scene: Scene, builder: RunningPod): Promise<void> {
  scene.screen.chapter('Bad days');
  await playPropagation(scene);
  const hasty = await playRenewal(scene);
  await playOutage(scene, builder, hasty);
  await playWrongSubject(scene);
  await playOtherHosts(scene, builder);
}

async function playPropagation(scene: Scene): Promise<void> {
  const { step, stage, screen } = scene;
  const started = performance.now();
  await step(
    () =>
      `the federated credential is made after the pod: git waits for it, and ends well after ${secondsSince(started)}`,
    async () => {
      const pod = await createPod(scene, 'newcomer');
      const waiting = runGit(pod, LS_REMOTE);
      const early = await Promise.race([waiting, sleep(2000)]);
      check(early === undefined, `git did not wait: ${early?.stderr ?? ''}`);
      stage.entra.setFederatedCredentials(IDENTITIES.newcomer.clientId, [federate(`${NAMESPACE}:newcomer`)]);
      const { code, stderr } = await waiting;
      check(code === 0, `git ended with ${code}:\n${stderr}`);
    },
    'the federated credential is made after the pod; git waits for it',
  );
  screen.tell(`Entra answered ${listOutcomes(scene, IDENTITIES.newcomer.clientId)}.`);
}

async function playRenewal(scene: Scene): Promise<RunningPod> {
  const { step, stage } = scene;
  stage.entra.setTokenLifetime(SHORT_LIFE);
  const { pod } = await step(
    ({ runs, tokens }) =>
      `tokens that live ${SHORT_LIFE} s are renewed under a loop: git ls-remote, ${runs} times, ${tokens} tokens, no failure`,
    async () => {
      const hasty = await createPod(scene, 'hasty');
      const firstRequest = stage.azureDevOps.requests.length;
      const countTokens = (): number => {
        const { requests } = stage.azureDevOps;
        return new Set(requests.slice(firstRequest).flatMap(({ tokenDigest }) => tokenDigest ?? [])).size;
      };
      let runs = 0;
      const end = performance.now() + 10 * SHORT_LIFE * 1000;
      while (countTokens() < 3) {
        check(performance.now() < end, 'the token is not renewed');
        await git(hasty, LS_REMOTE);
        runs++;
        await sleep(100);
      }
      return { pod: hasty, runs, tokens: countTokens() };
    },
    `tokens that live ${SHORT_LIFE} s are renewed under a loop`,
  );
  return pod;
}

async function playOutage({ step, stage, screen }: Scene, builder: RunningPod, hasty: RunningPod): Promise<void> {
  stage.entra.goDown({ kind: 'status', status: 503 });
  await step('Entra is down: a valid token serves on', async () => {
    await git(builder, LS_REMOTE);
  });
  await step('the sidecar is killed meanwhile: the new one takes the valid token over', async () => {
    await builder.killSidecar();
    await waitForToken(builder);
    check(builder.restarts() === 1, `the sidecar was restarted ${builder.restarts()} times`);
    await git(builder, LS_REMOTE);
  });
  const message = await step(
    'the token of the other pod ends: git ends too, and asks nobody for a password',
    async () => {
      await waitFor(
        async () => (await hasty.probe('/readyz')) !== 200,
        () => 'the token has not ended',
      );
      return failingGit(hasty);
    },
  );
  for (const line of message) screen.tell(line);
  await step(
    ({ seconds }) => `Entra is back: ${seconds} later git works again`,
    async () => {
      const back = performance.now();
      stage.entra.comeBack();
      stage.entra.setTokenLifetime(3600);
      await waitForToken(hasty);
      await git(hasty, LS_REMOTE);
      return { seconds: secondsSince(back) };
    },
    'Entra is back',
  );
}

async function playWrongSubject(scene: Scene): Promise<void> {
  const { step, screen } = scene;
  const message = await step(
    'the federated credential names another subject: git ends at once, with what mends it',
    async () => failingGit(await createPod(scene, 'misspelt')),
  );
  for (const line of message) screen.tell(line);
}

async function playOtherHosts({ step, stage }: Scene, builder: RunningPod): Promise<void> {
  const cases = [
    ['a look-alike host gets nothing', 'https://dev.azure.com.evil.example/contoso/payments/_git/api'],
    ['nor does Azure DevOps itself without TLS', 'http://dev.azure.com/contoso/payments/_git/api'],
  ] as const;
  for (const [title, url] of cases) {
    await step(`${title}: git ls-remote ${url}`, async () => {
      const before = stage.trap.requests.length;
      const { code } = await runGit(builder, ['ls-remote', url]);
      const requests = stage.trap.requests.slice(before);
      check(code !== 0, 'git ended well, and should not have');
      check(requests.length > 0, 'git did not come to the host at all');
      const given = requests.filter(({ gotSecret }) => gotSecret);
      check(given.length === 0, `the host got a secret: ${given.map(({ request }) => request).join()}`);
    });
  }
}

/** Runs git, which must fail; returns what it says. */
async function failingGit(pod: RunningPod): Promise<string[]> {
  const { code, stderr } = await runGit(pod, LS_REMOTE);
  check(code === 128, `git ended with ${code}`);
  check(!/could not read (Username|Password)/.test(stderr), `git asked for a password: ${stderr}`);
  // As it reads in a container.
  return stderr.trim().replaceAll(pod.locate('.'), '').split('\n');
}

function listOutcomes({ stage }: Scene, clientId: string): string {
  const outcomes = stage.entra.requests
    .filter((request) => request.clientId === clientId)
    .map(({ outcome }) => outcome);
  return outcomes.map((outcome) => (outcome === 'token' ? 'then with a token' : outcome)).join(', ');
}

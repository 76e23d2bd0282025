/** Fourth act: what goes wrong in real life, and what git says then. */
import { setTimeout as sleep } from 'node:timers/promises';
import { federate, type RunningPod } from '../../emulators/index.js';
import { type Context, createPod, git, IDENTITIES, NAMESPACE, REPOSITORY, runGit } from '../context.js';
import { check, secondsSince } from '../steps.js';
import { waitFor, waitForToken } from './start.js';

/** Life of the tokens of the account `hasty`, seconds. */
const SHORT_LIFE = 6;
const LS_REMOTE = ['ls-remote', REPOSITORY] as const;

/** @param builder the pod of the acts before, whose token is good for an hour. */
export async function runOutagesChapter(context: Context, builder: RunningPod): Promise<void> {
  context.terminal.chapter('Bad days');
  await playPropagation(context);
  const hasty = await playRenewal(context);
  await runOutage(context, builder, hasty);
  await playWrongSubject(context);
  await playOtherHosts(context, builder);
}

async function playPropagation(context: Context): Promise<void> {
  const { step, azure, terminal } = context;
  const started = performance.now();
  await step(
    () =>
      `the federated credential is made after the pod: git waits for it, and ends well after ${secondsSince(started)}`,
    async () => {
      const pod = await createPod(context, 'newcomer');
      const waiting = runGit(pod, LS_REMOTE);
      const early = await Promise.race([waiting, sleep(2000)]);
      check(early === undefined, `git did not wait: ${early?.stderr ?? ''}`);
      azure.entra.setFederatedCredentials(IDENTITIES.newcomer.clientId, [federate(`${NAMESPACE}:newcomer`)]);
      const { code, stderr } = await waiting;
      check(code === 0, `git ended with ${code}:\n${stderr}`);
    },
    'the federated credential is made after the pod; git waits for it',
  );
  terminal.tell(`Entra answered ${listOutcomes(context, IDENTITIES.newcomer.clientId)}.`);
}

async function playRenewal(context: Context): Promise<RunningPod> {
  const { step, azure } = context;
  azure.entra.setTokenLifetime(SHORT_LIFE);
  const { pod } = await step(
    ({ runs, tokens }) =>
      `tokens that live ${SHORT_LIFE} s are renewed under a loop: git ls-remote, ${runs} times, ${tokens} tokens, no failure`,
    async () => {
      const hasty = await createPod(context, 'hasty');
      const firstRequest = azure.azureDevOps.requests.length;
      const countTokens = (): number => {
        const { requests } = azure.azureDevOps;
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

async function runOutage({ step, azure, terminal }: Context, builder: RunningPod, hasty: RunningPod): Promise<void> {
  azure.entra.goDown({ kind: 'status', status: 503 });
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
  for (const line of message) terminal.tell(line);
  await step(
    ({ seconds }) => `Entra is back: ${seconds} later git works again`,
    async () => {
      const back = performance.now();
      azure.entra.comeBack();
      azure.entra.setTokenLifetime(3600);
      await waitForToken(hasty);
      await git(hasty, LS_REMOTE);
      return { seconds: secondsSince(back) };
    },
    'Entra is back',
  );
}

async function playWrongSubject(context: Context): Promise<void> {
  const { step, terminal } = context;
  const message = await step(
    'the federated credential names another subject: git ends at once, with what mends it',
    async () => failingGit(await createPod(context, 'misspelt')),
  );
  for (const line of message) terminal.tell(line);
}

async function playOtherHosts({ step, azure }: Context, builder: RunningPod): Promise<void> {
  const cases = [
    ['a look-alike host gets nothing', 'https://dev.azure.com.evil.example/contoso/payments/_git/api'],
    ['nor does Azure DevOps itself without TLS', 'http://dev.azure.com/contoso/payments/_git/api'],
  ] as const;
  for (const [title, url] of cases) {
    await step(`${title}: git ls-remote ${url}`, async () => {
      const before = azure.trap.requests.length;
      const { code } = await runGit(builder, ['ls-remote', url]);
      const requests = azure.trap.requests.slice(before);
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

function listOutcomes({ azure }: Context, clientId: string): string {
  const outcomes = azure.entra.requests
    .filter((request) => request.clientId === clientId)
    .map(({ outcome }) => outcome);
  return outcomes.map((outcome) => (outcome === 'token' ? 'then with a token' : outcome)).join(', ');
}

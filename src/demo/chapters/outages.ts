/** Chapter 4: outages and wrong settings, and what git prints then. */
import { setTimeout as sleep } from 'node:timers/promises';
import { federate, type RunningPod } from '../../emulators/index.js';
import { type Context, createPod, git, IDENTITIES, NAMESPACE, REPOSITORY, runGit } from '../context.js';
import { check, formatSecondsSince } from '../steps.js';
import { waitFor, waitForToken } from './start.js';

/** Lifetime of the tokens of the account `hasty`. */
const SHORT_LIFETIME_SECONDS = 6;
const LONG_LIFETIME_SECONDS = 3600;
const LS_REMOTE = ['ls-remote', REPOSITORY] as const;

/** @param builder the pod of the earlier chapters; its token is valid for an hour. */
export async function runOutagesChapter(context: Context, builder: RunningPod): Promise<void> {
  context.terminal.chapter('Outages and wrong settings');
  await showPropagation(context);
  const hasty = await showRenewal(context);
  await showOutage(context, builder, hasty);
  await showWrongSubject(context);
  await showOtherHosts(context, builder);
}

async function showPropagation(context: Context): Promise<void> {
  const { step, azure, terminal } = context;
  const started = performance.now();
  await step(
    () =>
      `the federated credential is created after the pod: git waits, and succeeds after ${formatSecondsSince(started)}`,
    async () => {
      const pod = await createPod(context, 'newcomer');
      const waiting = runGit(pod, LS_REMOTE);
      const early = await Promise.race([waiting, sleep(2000)]);
      check(early === undefined, `git did not wait: ${early?.stderr ?? ''}`);
      azure.entra.setFederatedCredentials(IDENTITIES.newcomer.clientId, [federate(`${NAMESPACE}:newcomer`)]);
      const { code, stderr } = await waiting;
      check(code === 0, `git failed with exit code ${code}:\n${stderr}`);
    },
    'the federated credential is created after the pod: git waits',
  );
  terminal.explain(`Entra answered ${listOutcomes(context, IDENTITIES.newcomer.clientId)}.`);
}

async function showRenewal(context: Context): Promise<RunningPod> {
  const { step, azure } = context;
  azure.entra.setTokenLifetime(SHORT_LIFETIME_SECONDS);
  const title = `tokens with a lifetime of ${SHORT_LIFETIME_SECONDS} s are renewed`;
  const { pod } = await step(
    ({ runs, tokens }) => `${title}: git ls-remote ran ${runs} times with ${tokens} tokens, without a failure`,
    async () => {
      const hasty = await createPod(context, 'hasty');
      const firstRequest = azure.azureDevOps.requests.length;
      const countTokens = (): number => {
        const { requests } = azure.azureDevOps;
        return new Set(requests.slice(firstRequest).flatMap(({ tokenDigest }) => tokenDigest ?? [])).size;
      };
      let runs = 0;
      const end = performance.now() + 10 * SHORT_LIFETIME_SECONDS * 1000;
      while (countTokens() < 3) {
        check(performance.now() < end, 'the token is not renewed');
        await git(hasty, LS_REMOTE);
        runs++;
        await sleep(100);
      }
      return { pod: hasty, runs, tokens: countTokens() };
    },
    title,
  );
  return pod;
}

async function showOutage({ step, azure, terminal }: Context, builder: RunningPod, hasty: RunningPod): Promise<void> {
  azure.entra.injectFault({ kind: 'status', status: 503 });
  await step('Entra is down: git works on with a valid token', async () => {
    await git(builder, LS_REMOTE);
  });
  await step('Entra is down and the sidecar is killed: the new sidecar adopts the valid token', async () => {
    await builder.killSidecar();
    await waitForToken(builder);
    check(builder.restarts() === 1, `the sidecar was restarted ${builder.restarts()} times`);
    await git(builder, LS_REMOTE);
  });
  const message = await step('Entra is down and a token expires: git fails, and asks for no password', async () => {
    await waitFor(
      async () => (await hasty.probe('/readyz')) !== 200,
      () => 'the token has not expired',
    );
    return runFailingGit(hasty);
  });
  for (const line of message) terminal.explain(line);
  await step(
    ({ recovery }) => `Entra is up again: git works after ${recovery}`,
    async () => {
      const started = performance.now();
      azure.entra.recover();
      azure.entra.setTokenLifetime(LONG_LIFETIME_SECONDS);
      await waitForToken(hasty);
      await git(hasty, LS_REMOTE);
      return { recovery: formatSecondsSince(started) };
    },
    'Entra is up again',
  );
}

async function showWrongSubject(context: Context): Promise<void> {
  const { step, terminal } = context;
  const message = await step(
    'the federated credential names another subject: git fails at once and prints the fix',
    async () => runFailingGit(await createPod(context, 'misspelt')),
  );
  for (const line of message) terminal.explain(line);
}

async function showOtherHosts({ step, azure }: Context, builder: RunningPod): Promise<void> {
  const cases = [
    ['a look-alike host gets no token', 'https://dev.azure.com.evil.example/contoso/payments/_git/api'],
    ['Azure DevOps gets no token without TLS', 'http://dev.azure.com/contoso/payments/_git/api'],
  ] as const;
  for (const [title, url] of cases) {
    await step(`${title}: git ls-remote ${url}`, async () => {
      const before = azure.trap.requests.length;
      const { code } = await runGit(builder, ['ls-remote', url]);
      const requests = azure.trap.requests.slice(before);
      check(code !== 0, 'git did not fail');
      check(requests.length > 0, 'git sent no request to the host');
      const withSecret = requests.filter(({ gotSecret }) => gotSecret);
      check(withSecret.length === 0, `the host got a secret: ${withSecret.map(({ request }) => request).join()}`);
    });
  }
}

/** Runs git, which must fail; returns the lines that it prints. */
async function runFailingGit(pod: RunningPod): Promise<string[]> {
  const { code, stderr } = await runGit(pod, LS_REMOTE);
  check(code === 128, `git ended with exit code ${code}`);
  check(!/could not read (Username|Password)/.test(stderr), `git asked for a password: ${stderr}`);
  // With the paths of a container.
  return stderr.trim().replaceAll(pod.locate('.'), '').split('\n');
}

/** The answers of Entra to an application, such as `AADSTS70025, then with a token`. */
function listOutcomes({ azure }: Context, clientId: string): string {
  return azure.entra.requests
    .filter((request) => request.clientId === clientId)
    .map(({ outcome }) => (outcome === 'token' ? 'then with a token' : outcome))
    .join(', ');
}

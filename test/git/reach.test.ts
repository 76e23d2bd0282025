/** What must work: real git with the injected configuration and the real sidecar, through every channel. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { federate, LFS_CONTENT } from '../../src/emulators/index.js';
import { ANNOTATION, CREDENTIAL_USERNAME } from '../../src/names.js';
import {
  askHelper,
  BUILDER,
  git,
  gitOk,
  NAMESPACE,
  NEWCOMER,
  PAYMENTS,
  SHELLS,
  skipWithout,
  startGitFixture,
} from '../support/git-fixture.js';
import { waitUntil } from '../support/wait.js';

const AUTHOR = {
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@contoso.example',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@contoso.example',
};
const { azure, startPod } = await startGitFixture(t);
const pod = await startPod({
  annotations: { [ANNOTATION.projects]: 'contoso/payments, Contoso/Web Shop' },
});

void t.test('URL forms', async (t) => {
  const urls = [
    PAYMENTS,
    'https://contoso@dev.azure.com/contoso/payments/_git/api',
    'https://DEV.azure.com/Contoso/PAYMENTS/_git/Api',
    'https://dev.azure.com:443/contoso/payments/_git/api/',
    'https://dev.azure.com/contoso/_git/assets',
    'https://dev.azure.com/contoso/payments/_git/_full/api',
    'https://dev.azure.com/contoso/payments/_git/_optimized/api',
    'https://dev.azure.com/contoso/Web%20Shop/_git/store%20front',
    'https://contoso.visualstudio.com/payments/_git/api',
    'https://contoso.visualstudio.com/DefaultCollection/payments/_git/api',
    'https://contoso@Contoso.VisualStudio.com/payments/_git/_optimized/api',
    'https://contoso.visualstudio.com/_git/assets',
    'https://dev.azure.com/fabrikam/platform/_git/tools',
    'git@ssh.dev.azure.com:v3/contoso/payments/api',
    'git@ssh.dev.azure.com:v3/contoso/web%20shop/store%20front',
  ];
  for (const url of urls) t.match(await gitOk(t, pod, ['ls-remote', url]), /\trefs\/heads\/main\n/, url);
});

void t.test('SSH remotes, as people write them', async (t) => {
  const api = ['v3/contoso/payments/api', PAYMENTS] as const;
  const store = 'https://dev.azure.com/Contoso/Web%20Shop/_git/store%20front';
  const cases = [
    [`git@ssh.dev.azure.com:${api[0]}`, api[1]],
    [`ssh://git@ssh.dev.azure.com/${api[0]}`, api[1]],
    [`ssh://git@ssh.dev.azure.com:22/${api[0]}`, api[1]],
    [`contoso@vs-ssh.visualstudio.com:${api[0]}`, api[1]],
    [`ssh://contoso@vs-ssh.visualstudio.com/${api[0]}`, api[1]],
    [`ssh://contoso@vs-ssh.visualstudio.com:22/${api[0]}`, api[1]],
    ['git@ssh.dev.azure.com:v3/Contoso/Web%20Shop/store%20front', store],
    ['git@ssh.dev.azure.com:v3/contoso/web%20shop/store%20front', store],
    ['ssh://Contoso@vs-ssh.visualstudio.com:22/v3/Contoso/Web%20Shop/store%20front', store],
    ['git@ssh.dev.azure.com:v3/contoso/other/api', 'git@ssh.dev.azure.com:v3/contoso/other/api'],
    ['git@github.com:contoso/payments', 'git@github.com:contoso/payments'],
  ] as const;
  for (const [remote, url] of cases)
    t.equal(await gitOk(t, pod, ['ls-remote', '--get-url', remote]), `${url}\n`, remote);
});

void t.test('the server gets one fixed user name, whichever user the remote names', (t) => {
  const requests = azure.azureDevOps.requests.filter(({ status }) => status === 200);
  t.same(
    [...new Set(requests.map(({ scheme, userName }) => `${scheme} ${userName ?? ''}`))],
    [`Basic ${CREDENTIAL_USERNAME}`],
  );
  t.end();
});

void t.test('clone with submodules, commit, and push more than a megabyte', async (t) => {
  await gitOk(t, pod, ['clone', '--recurse-submodules', PAYMENTS, 'api']);
  t.equal(readFileSync(pod.locate('/data/api/library/library.txt'), 'utf8'), 'shared by many\n');
  writeFileSync(pod.locate('/data/api/large'), randomBytes(2_000_000));
  await gitOk(t, pod, ['add', '.'], { directory: 'api' });
  await gitOk(t, pod, ['commit', '-m', 'large'], { directory: 'api', env: AUTHOR });
  await gitOk(t, pod, ['push'], { directory: 'api' });
  const head = await gitOk(t, pod, ['rev-parse', 'HEAD'], { directory: 'api' });
  t.match(await gitOk(t, pod, ['ls-remote', PAYMENTS, 'main']), head.trim());
});

void t.test('LFS', { skip: skipWithout('git-lfs') }, async (t) => {
  const url = 'https://dev.azure.com/contoso/_git/assets';
  await gitOk(t, pod, ['lfs', 'install', '--skip-repo']);
  await gitOk(t, pod, ['clone', url, 'assets']);
  t.equal(readFileSync(pod.locate('/data/assets/picture.bin'), 'utf8'), LFS_CONTENT);
  writeFileSync(pod.locate('/data/assets/picture.bin'), 'another picture');
  await gitOk(t, pod, ['commit', '-am', 'another'], { directory: 'assets', env: AUTHOR });
  await gitOk(t, pod, ['push'], { directory: 'assets' });
  await gitOk(t, pod, ['clone', url, 'again']);
  t.equal(readFileSync(pod.locate('/data/again/picture.bin'), 'utf8'), 'another picture');
});

void t.test('the helper under several shells, with an environment and without', async (t) => {
  for (const [program, shell] of SHELLS) {
    await t.test(shell.join(' '), { skip: skipWithout(program) }, async (t) => {
      const question = 'protocol=https\nhost=dev.azure.com\npath=contoso/payments/_git/api\n\n';
      for (const prefix of [[], ['env', '-i', `PATH=${process.env['PATH'] ?? ''}`]]) {
        const { code, stdout, stderr } = await askHelper(pod, question, [...prefix, ...shell]);
        t.match(stdout, /^username=ado-git-identity\npassword=\S{100,}\npassword_expiry_utc=\d{10}\n$/);
        t.equal(code, 0);
        t.equal(stderr, '');
      }
      for (const action of ['store', 'erase', 'unknown']) {
        t.strictSame(
          await askHelper(pod, question, shell, action),
          { code: 0, stdout: '', stderr: '' },
          `${action}: no answer and no message`,
        );
      }
    });
  }
  await gitOk(t, pod, ['ls-remote', PAYMENTS]);
});

void t.test('git waits for the first token, in every shell', async (t) => {
  const newcomer = await startPod({ identity: NEWCOMER });
  await waitUntil('Entra has refused a token', () =>
    azure.entra.requests.some(({ clientId }) => clientId === NEWCOMER.clientId),
  );
  const question = 'protocol=https\nhost=dev.azure.com\npath=contoso/payments/_git/api\n\n';
  const shells = SHELLS.filter(([program]) => skipWithout(program) === false);
  const answers = shells.map(([, shell]) => askHelper(newcomer, question, shell));
  const listing = git(newcomer, ['ls-remote', PAYMENTS]);
  // On a slow machine this sees less, but it never fails there.
  t.equal(await Promise.race([listing, ...answers, sleep(1500, 'waiting')]), 'waiting', 'none ends without a token');
  azure.entra.setFederatedCredentials(NEWCOMER.clientId, [federate(`${NAMESPACE}:builder`)]);
  t.equal((await listing).code, 0);
  for (const answer of answers) t.match((await answer).stdout, /^username=.*\npassword=/);
});

void t.test('startup wait: containers start with a token', async (t) => {
  const waiting = await startPod({ annotations: { [ANNOTATION.startup]: 'wait' } });
  t.equal(await waiting.probe('/readyz'), 200);
});

void t.test('channel env: beside the settings of the container itself', async (t) => {
  const own = await startPod({
    env: [
      { name: 'GIT_CONFIG_COUNT', value: '1' },
      { name: 'GIT_CONFIG_KEY_0', value: 'user.name' },
      { name: 'GIT_CONFIG_VALUE_0', value: 'Grace' },
    ],
  });
  t.equal(await gitOk(t, own, ['config', 'user.name']), 'Grace\n');
  await gitOk(t, own, ['ls-remote', PAYMENTS]);
  const { code } = await git(own, ['config', '--global', 'user.email', 'grace@contoso.example']);
  t.equal(code, 0, "the user's own configuration can be written");
});

void t.test('channel system: for a program that sets its own count, with the settings of the image', async (t) => {
  const argo = await startPod({ annotations: { [ANNOTATION.gitConfig]: 'system' } });
  writeFileSync(argo.locate('/etc/gitconfig'), '[user]\n\tname = Image\n');
  const env = {
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'user.email',
    GIT_CONFIG_VALUE_0: 'argo@example',
    HOME: '/dev/null',
  };
  await gitOk(t, argo, ['ls-remote', PAYMENTS], { env });
  t.equal(await gitOk(t, argo, ['config', 'user.name'], { env }), 'Image\n');
});

void t.test('channel file: for a program that clears the environment', async (t) => {
  const kargo = await startPod({ annotations: { [ANNOTATION.gitConfig]: 'file' } });
  const environment = kargo.environment('build');
  t.notOk('GIT_CONFIG_COUNT' in environment);
  // GIT_CONFIG_SYSTEM is in place of the mount over /etc/gitconfig; the rest is the network.
  const kept = ['PATH', 'GIT_CONFIG_SYSTEM', ...Object.keys(azure.networkEnv)];
  const assignments = kept.map((name) => `${name}=${environment[name] ?? ''}`);
  const { code, stderr } = await kargo.run('build', ['env', '-i', ...assignments, 'git', 'ls-remote', PAYMENTS]);
  t.equal(code, 0, stderr);
});

void t.test('a renewed service account token, and a sidecar that is killed, change nothing for git', async (t) => {
  const countExchanges = (): number =>
    azure.entra.requests.filter(({ clientId }) => clientId === BUILDER.clientId).length;
  const token = readFileSync(pod.locate('/var/run/secrets/ado-git/token'), 'utf8');
  await pod.renewToken();
  t.not(readFileSync(pod.locate('/var/run/secrets/ado-git/token'), 'utf8'), token);
  const before = countExchanges();
  await pod.killSidecar();
  await waitUntil('the restarted sidecar is ready', async () => (await pod.probe('/readyz')) === 200);
  await gitOk(t, pod, ['ls-remote', PAYMENTS]);
  t.equal(pod.restarts(), 1);
  t.equal(countExchanges(), before, 'the new sidecar takes over the token of the old one');
  t.equal(await pod.stop(), 0);
});

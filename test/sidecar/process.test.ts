/** The built sidecar as a real process, against a strict Entra over TLS. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createAuthority } from '../../src/certificates/authority.js';
import { type EntraFault, startConnectProxy } from '../../src/emulators/index.js';
import { epochMs } from '../../src/time.js';
import {
  ask,
  CLIENT,
  createSidecarFixture,
  CREDENTIAL_FILE,
  SIDECAR,
  type Sidecar,
  SIDECAR_COMMAND,
  type SidecarFixture,
  SUBJECT,
  TENANT,
} from '../support/sidecar-fixture.js';
import { findFreePort, waitUntil, withDeadline } from '../support/wait.js';

// Each test has a fixture of its own, and waits most of the time.
t.jobs = 2;

/** Both files say so; the status is written last. */
const isReady = (fixture: SidecarFixture): boolean =>
  fixture.read('state').startsWith('state=ready\n') && fixture.read('status.json').includes('"state": "ready"');
const readError = (fixture: SidecarFixture): Record<string, unknown> => {
  const text = fixture.read('status.json');
  if (text === '') return {};
  const { identities } = JSON.parse(text) as { identities: { error: Record<string, unknown> | null }[] };
  return identities[0]?.error ?? {};
};
const readToken = (fixture: SidecarFixture): string =>
  /^password=(.*)$/m.exec(fixture.read(CREDENTIAL_FILE))?.[1] ?? '';

async function readMetric(port: number, series: string): Promise<number> {
  const start = `ado_git_sidecar_${series} `;
  const line = (await ask(port, '/metrics')).body.split('\n').find((one) => one.startsWith(start));
  return line === undefined ? Number.NaN : Number(line.slice(start.length));
}

void t.test('a token is fetched, published and served; nothing gives it away', async (t) => {
  const fixture = await createSidecarFixture(t);
  const before = Math.floor(Date.now() / 1000);
  const sidecar = await fixture.startOnPort({ ADO_GIT_ORGANIZATIONS: 'shop, tools' });
  await waitUntil('a token', () => isReady(fixture));

  const [, token = '', expiry] =
    /^username=ado-git-identity\npassword=(\S+)\npassword_expiry_utc=(\d+)\n$/.exec(fixture.read(CREDENTIAL_FILE)) ??
    [];
  t.match(fixture.entra.findToken(token), { clientId: CLIENT, tenantId: TENANT });
  const life = { least: before + 3600, most: Date.now() / 1000 + 3600 };
  t.ok(Number(expiry) >= life.least && Number(expiry) <= life.most, 'the expiry is the token’s');
  t.match(fixture.read('state'), new RegExp(`^state=ready\nfile=${CREDENTIAL_FILE}\nmessage=[^\n]+\n$`));
  t.strictSame(fixture.list(), [CREDENTIAL_FILE, 'state', 'status.json']);
  for (const name of fixture.list()) t.equal(statSync(join(fixture.directory, name)).mode & 0o777, 0o644, name);

  const { port } = sidecar;
  for (const path of ['/healthz', '/startz', '/readyz', '/metrics', '/status?x']) {
    const { status, body } = await ask(port, path);
    t.equal(status, 200, path);
    t.notOk(body.includes(token), `${path} does not give the token`);
  }
  t.equal((await ask(port, '/')).status, 404);
  t.equal((await ask(port, '/healthz', { method: 'POST' })).status, 405);
  t.match(await ask(port, '/healthz', { method: 'HEAD' }), { status: 200, body: '' });
  const status = await ask(port, '/status');
  t.equal(status.body, fixture.read('status.json'));
  t.match(JSON.parse(status.body), {
    mode: 'helper',
    organizations: ['shop', 'tools'],
    identities: [{ clientId: CLIENT, tenantId: TENANT, authority: fixture.entra.origin, state: 'ready', error: null }],
  });
  const metrics = (await ask(port, '/metrics')).body;
  t.match(metrics, /^ado_git_sidecar_exchanges_total\{outcome="token",class=""\} 1$/m);
  t.match(metrics, /^ado_git_sidecar_ready 1$/m);
  t.notOk(metrics.includes(CLIENT) || metrics.includes(TENANT), 'no ids in the metrics');

  t.equal((await ask(port, '/status', { host: 'evil.example' })).status, 403, 'a rebound name is refused');
  t.equal((await ask(port, '/status', { host: `[::1]:${port}` })).status, 200);
  const address = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.internal === false && one.family === 'IPv4')?.address;
  if (address === undefined) t.comment('this machine has no other address');
  else {
    t.equal((await ask({ host: address, port }, '/status', { host: 'localhost' })).status, 403, 'not from outside');
    t.equal((await ask({ host: address, port }, '/healthz')).status, 200);
  }

  const assertion = readFileSync(fixture.tokenFile, 'utf8').trim();
  t.notOk(sidecar.logs().includes(token) || sidecar.logs().includes(assertion), 'no token in the logs');
  for (const line of sidecar.logs().trim().split('\n'))
    t.match(JSON.parse(line) as object, { time: String, level: 'info' });

  t.equal(await sidecar.kill('SIGTERM'), 0, 'SIGTERM ends it at once');
  t.ok(isReady(fixture) && readToken(fixture) === token, 'the token stays for containers that run on');
});

void t.test('it stops at once, also while Entra keeps it waiting', async (t) => {
  const fixture = await createSidecarFixture(t);
  fixture.entra.injectFault({ kind: 'hang' });
  for (const program of [SIDECAR, SIDECAR_COMMAND]) {
    const requests = fixture.entra.requests.length;
    const sidecar = fixture.start({ ADO_GIT_PORT: '0' }, [], program);
    await waitUntil('a request to Entra', () => fixture.entra.requests.length > requests);
    // An exchange that nothing ends takes 15 s.
    t.equal(await withDeadline('the end after SIGTERM', sidecar.kill('SIGTERM'), { withinSeconds: 10 }), 0);
  }
});

/** A life that an exchange on a busy machine still fits in, and that a test can wait for. */
const SHORT_LIFE_SECONDS = 8;

void t.test('tokens are renewed, and no reader sees a torn file, also after kill -9', async (t) => {
  const fixture = await createSidecarFixture(t, { tokenLifetimeSeconds: SHORT_LIFE_SECONDS });
  let reads = 0;
  const torn: string[] = [];
  const reader = setInterval(() => {
    const text = fixture.read(CREDENTIAL_FILE);
    if (text === '') return;
    reads += 1;
    if (!/^username=.+\npassword=.+\npassword_expiry_utc=\d+\n$/.test(text)) torn.push(text);
  }, 1);
  t.teardown(() => clearInterval(reader));

  let sidecar = fixture.start({ ADO_GIT_PORT: '0' });
  for (let round = 0; round < 3; round += 1) {
    await waitUntil('a token in its file', () => isReady(fixture) && readToken(fixture) !== '');
    const token = readToken(fixture);
    const exchanges = fixture.entra.requests.length;
    await waitUntil('another exchange', () => fixture.entra.requests.length > exchanges);
    await waitUntil('another token in its file', () => !['', token].includes(readToken(fixture)));
    await sidecar.kill('SIGKILL');
    sidecar = fixture.start({ ADO_GIT_PORT: '0' });
  }
  await waitUntil('100 reads', () => reads > 100);
  t.strictSame(torn, [], `no torn file in ${reads} reads`);
});

void t.test('a valid token of an earlier run is adopted, without a request to Entra', async (t) => {
  const fixture = await createSidecarFixture(t);
  fixture.entra.injectFault({ kind: 'status', status: 503 });
  // Renewed at half of its life at the earliest, long after the end of this test.
  const expirySeconds = Math.floor(Date.now() / 1000) + 7200;
  const left = `username=ado-git-identity\npassword=left\npassword_expiry_utc=${expirySeconds}\n`;
  writeFileSync(join(fixture.directory, CREDENTIAL_FILE), left);
  writeFileSync(join(fixture.directory, 'credential-of-another-tenant'), 'x');
  writeFileSync(join(fixture.directory, '.new-state'), 'half');
  const sidecar = await fixture.startOnPort({ ADO_GIT_STARTUP: 'require' });
  await waitUntil('the adopting sidecar', () => sidecar.logs().includes('"message":"started"'));
  t.equal((await ask(sidecar.port, '/startz')).status, 200, 'an adopted token is a token');
  t.equal((await ask(sidecar.port, '/readyz')).status, 200);
  t.equal(fixture.read(CREDENTIAL_FILE), left, 'the valid token is adopted');
  t.match(sidecar.logs(), '"message":"adopted a valid token from an earlier run"');
  t.strictSame(fixture.list(), [CREDENTIAL_FILE, 'state', 'status.json'], 'leftovers are gone');
  const { body } = await ask(sidecar.port, '/metrics');
  t.match(body, /^ado_git_sidecar_exchanges_total\{outcome="token",class=""\} 0$/m);
  const failures = [...body.matchAll(/^ado_git_sidecar_exchanges_total\{outcome="failure",class="[a-z-]+"\} (\d+)$/gm)];
  t.ok(failures.length > 10, 'each class of failure starts at 0');
  t.ok(
    failures.every(([, count]) => count === '0'),
    'nothing has failed',
  );
  t.strictSame(fixture.entra.requests, [], 'Entra is not asked for it');
});

void t.test('a token is served until its end and vanishes then, and a new one brings it back', async (t) => {
  const fixture = await createSidecarFixture(t, { tokenLifetimeSeconds: SHORT_LIFE_SECONDS });
  const startSeconds = Date.now() / 1000;
  const sidecar = await fixture.startOnPort({ ADO_GIT_STARTUP: 'require' });
  await waitUntil('a token', () => isReady(fixture));
  const lastSuccess = await readMetric(sidecar.port, 'last_success_timestamp_seconds');
  t.ok(lastSuccess >= startSeconds && lastSuccess <= Date.now() / 1000, 'the time of the last success');
  t.ok((await readMetric(sidecar.port, 'token_expiry_timestamp_seconds')) > lastSuccess, 'the token expires later');
  fixture.entra.injectFault({ kind: 'status', status: 503 });
  let expirySeconds = Number.NaN;
  await waitUntil('the removal of the token', () => {
    const [, found] = /^password_expiry_utc=(\d+)$/m.exec(fixture.read(CREDENTIAL_FILE)) ?? [];
    if (found !== undefined) expirySeconds = Number(found);
    return found === undefined;
  });
  t.ok(Date.now() >= expirySeconds * 1000, 'it was served until its end');
  await waitUntil('the reason', () =>
    /^state=failed\nmessage=The token expired at .* temporary fault.*\(http-503\)/.test(fixture.read('state')),
  );
  t.equal((await ask(sidecar.port, '/readyz')).status, 503);
  t.equal(await readMetric(sidecar.port, 'ready'), 0);
  t.equal(await readMetric(sidecar.port, 'token_expiry_timestamp_seconds'), 0);
  t.ok((await readMetric(sidecar.port, 'exchanges_total{outcome="failure",class="transient"}')) > 0, 'counted');
  t.equal((await ask(sidecar.port, '/startz')).status, 200, 'containers that have started are not held again');
  fixture.entra.setTokenLifetime(3600);
  fixture.entra.recover();
  await waitUntil('a token again', () => isReady(fixture));
  t.equal((await ask(sidecar.port, '/readyz')).status, 200);
});

void t.test("Entra's outages: each has its class and a sentence, and ends", async (t) => {
  const outages: [EntraFault, Record<string, unknown>][] = [
    [{ kind: 'html' }, { class: 'bad-answer', message: /answered 200, but not with JSON/ }],
    [{ kind: 'empty' }, { class: 'bad-answer' }],
    [{ kind: 'huge' }, { class: 'bad-answer', message: /more than 256 KiB/ }],
    [{ kind: 'reset' }, { class: 'transport', message: /can't be reached: / }],
    [
      { kind: 'redirect', location: 'https://elsewhere.example/' },
      { class: 'bad-answer', message: /redirect \(302\)/ },
    ],
    [
      { kind: 'status', status: 429, body: 'Too many requests' },
      { class: 'throttle', code: 'http-429' },
    ],
    [
      { kind: 'status', status: 503, body: '<h1>down</h1>', retryAfter: '9999' },
      { class: 'transient', code: 'http-503' },
    ],
    [
      { kind: 'aadsts', aadsts: 90033, status: 503 },
      { class: 'transient', aadsts: 90033 },
    ],
    [
      { kind: 'aadsts', aadsts: 70021 },
      { class: 'propagation', message: /az identity federated-credential create/ },
    ],
    ...[90061, 50166, 501661].map((aadsts): [EntraFault, Record<string, unknown>] => [
      { kind: 'aadsts', aadsts },
      { class: 'retry-slowly', aadsts, message: /curl https:\S+\/.well-known\/openid-configuration/ },
    ]),
    [
      { kind: 'body', body: '{"access_token":"a\\r\\nquit=1","expires_in":60}' },
      { class: 'bad-answer', message: /access_token/ },
    ],
    [
      { kind: 'body', body: '{"access_token":"abc","expires_in":-5}' },
      { class: 'bad-answer', message: /expires_in/ },
    ],
  ];
  const fixture = await createSidecarFixture(t);
  for (const [outage, expected] of outages) {
    const name = JSON.stringify(outage).slice(0, 80);
    fixture.entra.injectFault(outage);
    rmSync(join(fixture.directory, 'status.json'), { force: true });
    const sidecar = fixture.start({ ADO_GIT_PORT: '0' });
    await waitUntil(name, () => readError(fixture)['class'] !== undefined);
    t.match(readError(fixture), expected, name);
    t.match(fixture.read('state'), /^state=pending\nmessage=[^\n]+\n$/, 'git waits');
    await sidecar.kill();
  }
  const sidecar = await fixture.startOnPort({ ADO_GIT_STARTUP: 'wait' });
  await waitUntil('a failure', () => sidecar.logs().includes('"level":"warn"'));
  const waits = await ask(sidecar.port, '/startz');
  t.equal(waits.status, 503, 'containers wait');
  t.match(waits.body, /^The startup rule is not met yet\. https:\/\/\S+ answered 200, but with no usable .*\n$/);
  t.match(await ask(sidecar.port, '/readyz'), { status: 503, body: /^There is no valid token\. https:/ });
  const fromAfar = await ask(sidecar.port, '/startz', { host: 'evil.example' });
  t.match(
    fromAfar.body,
    /^The startup rule is not met yet\. Cause: [\w-]+\. The log of the container ado-git-identity /,
  );
  fixture.entra.recover();
  await waitUntil('a token', () => isReady(fixture));
  t.equal((await ask(sidecar.port, '/startz')).status, 200);
});

void t.test(
  'a failure that waiting does not resolve ends the wait at once, with the command that fixes it',
  async (t) => {
    const fixture = await createSidecarFixture(t);
    const other = 'system:serviceaccount:shop:other';
    await fixture.projectToken({ subject: other });
    const sidecar = await fixture.startOnPort({ ADO_GIT_STARTUP: 'wait' });
    await waitUntil('the refusal', () => readError(fixture)['class'] !== undefined);
    t.match(fixture.read('state'), /^state=failed\n/);
    t.match(
      fixture.read('state'),
      new RegExp(`--issuer \\S+ --subject ${other} --audiences api://AzureADTokenExchange`),
    );
    t.match(readError(fixture), { aadsts: 700213, class: 'config', detail: /^AADSTS700213: /, traceId: /^[\w-]{36}$/ });
    t.equal((await ask(sidecar.port, '/startz')).status, 200, 'containers no longer wait');
    t.equal((await ask(sidecar.port, '/readyz')).status, 503);
    await fixture.projectToken({ subject: SUBJECT });
    await waitUntil('a token for the assertion that was read again', () => isReady(fixture));
  },
);

void t.test('a wrong token file is reported, and read again', async (t) => {
  const fixture = await createSidecarFixture(t);
  const expired = Buffer.from(JSON.stringify({ exp: 1000, sub: SUBJECT })).toString('base64url');
  const contents: [string, () => void][] = [
    ['assertion-missing', () => undefined],
    ['assertion-empty', () => writeFileSync(fixture.tokenFile, '\n')],
    ['assertion-malformed', () => writeFileSync(fixture.tokenFile, 'no token')],
    ['assertion-expired', () => writeFileSync(fixture.tokenFile, `e30.${expired}.c2ln`)],
    ['assertion-unreadable', () => mkdirSync(fixture.tokenFile)],
  ];
  let sidecar: Sidecar | undefined;
  for (const [code, prepare] of contents) {
    await sidecar?.kill();
    rmSync(fixture.tokenFile, { recursive: true, force: true });
    rmSync(join(fixture.directory, 'status.json'), { force: true });
    prepare();
    sidecar = fixture.start({ ADO_GIT_PORT: '0' });
    await waitUntil(code, () => readError(fixture)['code'] !== undefined);
    t.match(readError(fixture), { code, class: 'assertion', message: new RegExp(fixture.tokenFile) }, code);
    t.match(fixture.read('state'), /^state=pending\n/);
  }
  rmSync(fixture.tokenFile, { recursive: true });
  t.equal(fixture.entra.requests.length, 0, 'none of it was sent to Entra');
  await fixture.projectToken();
  await waitUntil('a token', () => isReady(fixture));
});

void t.test('a certificate that is not trusted, and authorities that come in a file later', async (t) => {
  const fixture = await createSidecarFixture(t);
  const file = join(fixture.directory, '..', 'ca.crt');
  const sidecar = await fixture.startOnPort({
    ADO_GIT_EXTRA_CA: file,
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
  });
  await waitUntil('the refusal', () => readError(fixture)['class'] === 'tls-untrusted');
  t.match(readError(fixture)['message'], /certificate of https:\/\/localhost:\d+ is not trusted: .*sidecar\.extraCa/);
  t.match(sidecar.logs(), /ca\.crt does not exist/);
  t.equal(fixture.entra.requests.length, 0, 'nothing was sent');
  writeFileSync(file, 'nonsense');
  await waitUntil('the warning', () => sidecar.logs().includes('holds no PEM certificate'));
  writeFileSync(file, `# ours\n${fixture.authorityPem}`);
  await waitUntil('a token', () => isReady(fixture));
});

void t.test('extra authorities leave those of NODE_EXTRA_CA_CERTS in force', async (t) => {
  const fixture = await createSidecarFixture(t);
  const stranger = await createAuthority({ commonName: 'stranger', days: 1, now: epochMs(Date.now()) });
  const file = join(fixture.directory, '..', 'ca.crt');
  writeFileSync(file, fixture.authorityPem);
  await fixture.startOnPort({
    ADO_GIT_EXTRA_CA: stranger.certificatePem,
    NODE_EXTRA_CA_CERTS: file,
  });
  await waitUntil('a token', () => isReady(fixture));
  t.equal(readError(fixture)['class'], undefined);
});

void t.test('through a proxy, past a proxy, and a proxy that refuses', async (t) => {
  const fixture = await createSidecarFixture(t);
  const proxy = await startConnectProxy((host, port) =>
    host === 'localhost' && port === fixture.entra.port ? port : undefined,
  );
  t.teardown(() => proxy.close());
  const target = `localhost:${fixture.entra.port}`;
  let sidecar = fixture.start({ ADO_GIT_PORT: '0', HTTPS_PROXY: proxy.url, NO_PROXY: 'example.com,.svc' });
  await waitUntil('a token', () => isReady(fixture));
  t.strictSame(proxy.targets, [target]);
  await sidecar.kill();

  rmSync(join(fixture.directory, CREDENTIAL_FILE));
  sidecar = fixture.start({ ADO_GIT_PORT: '0', https_proxy: proxy.url, no_proxy: 'example.com, localhost' });
  await waitUntil('a token past the proxy', () => isReady(fixture) && readToken(fixture) !== '');
  t.equal(proxy.targets.length, 1);
  await sidecar.kill();

  rmSync(join(fixture.directory, CREDENTIAL_FILE));
  fixture.start({ ADO_GIT_PORT: '0', HTTPS_PROXY: proxy.url, ADO_GIT_AUTHORITY_HOST: 'https://login.example' });
  await waitUntil('the refusal', () => readError(fixture)['class'] === 'proxy-refused');
  t.match(
    readError(fixture)['message'],
    /proxy http:\/\/127\.0\.0\.1:\d+ refused the connection to login\.example:443 \(403\)/,
  );
});

void t.test('without a port it listens on a socket, and the exec probe asks there', async (t) => {
  const fixture = await createSidecarFixture(t);
  writeFileSync(join(fixture.directory, 'sidecar.sock'), 'left by another');
  fixture.entra.injectFault({ kind: 'status', status: 503 });
  const changes = { ADO_GIT_PORT: '0', ADO_GIT_STARTUP: 'require' };
  t.equal(await fixture.start(changes, ['probe', 'healthz']).waitForExit(), 1, 'nothing listens yet');
  fixture.start(changes);
  await waitUntil('the socket', async () => (await fixture.start(changes, ['probe', 'healthz']).waitForExit()) === 0);
  const waiting = fixture.start(changes, ['probe', 'startz']);
  t.equal(await waiting.waitForExit(), 1);
  t.match(waiting.errors(), /^The startup rule is not met yet\. .*Entra at .*\n$/, 'for the Event of the kubelet');
  fixture.entra.recover();
  await waitUntil('a token', () => isReady(fixture));
  await waitUntil(
    'a probe that succeeds',
    async () => (await fixture.start(changes, ['probe', 'startz']).waitForExit()) === 0,
  );
  const socketPath = join(fixture.directory, 'sidecar.sock');
  t.equal((await ask({ socketPath }, '/status', { host: 'localhost' })).status, 200);
});

void t.test('each problem that ends the sidecar is one clear line', async (t) => {
  const fixture = await createSidecarFixture(t);
  const port = String(await findFreePort());
  const wrong = fixture.start({
    ADO_GIT_CLIENT_ID: 'x',
    ADO_GIT_TENANT_ID: ' ',
    ADO_GIT_PORT: '80',
    ADO_GIT_STARTUP: 'later',
  });
  t.equal(await wrong.waitForExit(), 2);
  t.match(wrong.errors().split('\n'), [
    /ADO_GIT_CLIENT_ID "x" is not/,
    /ADO_GIT_TENANT_ID is missing/,
    /ADO_GIT_PORT "80" is not/,
    /ADO_GIT_STARTUP "later" is not/,
  ]);
  t.equal(wrong.errors().trim().split('\n').length, 4);
  const words = fixture.start({}, ['prove']);
  t.equal(await words.waitForExit(), 2);
  t.match(words.errors(), /"prove" is not understood/);
  t.equal(await fixture.start({}, ['--version']).waitForExit(), 0);

  const first = fixture.start({ ADO_GIT_PORT: port });
  await waitUntil('a token', () => isReady(fixture));
  const other = await createSidecarFixture(t);
  const second = other.start({ ADO_GIT_PORT: port });
  t.equal(await second.waitForExit(), 1);
  t.match(second.errors(), /Port \d+ \(ADO_GIT_PORT\) can't be listened on: another process of the pod uses it/);
  t.match(other.read('state'), /^state=failed\nmessage=Port \d+/, 'git does not wait for it');
  t.equal(await first.kill('SIGINT'), 0);
});

void t.test('what is no file is never opened, and makes place for ours', async (t) => {
  const make: Readonly<Record<string, (path: string, target: string) => void>> = {
    'a pipe': (path) => t.equal(spawnSync('mkfifo', [path]).status, 0),
    'a link to a file': (path, target) => symlinkSync(target, path),
    'a link to nothing': (path) => symlinkSync('/nowhere/file', path),
    'a link to itself': (path) => symlinkSync(path, path),
    'a hard link': (path, target) => linkSync(target, path),
    'a directory': (path) => mkdirSync(join(path, 'below'), { recursive: true }),
  };
  for (const [what, makeAt] of Object.entries(make)) {
    const fixture = await createSidecarFixture(t);
    const target = join(fixture.directory, 'target');
    writeFileSync(target, 'of others');
    for (const name of [CREDENTIAL_FILE, 'state', 'status.json', `.new-${CREDENTIAL_FILE}`, '.new-state']) {
      makeAt(join(fixture.directory, name), target);
    }
    const sidecar = await fixture.startOnPort();
    // Not by its files: a pipe would keep this process waiting, and Entra with it.
    const isServed = async (): Promise<boolean> =>
      (await ask(sidecar.port, '/readyz').catch(() => undefined))?.status === 200;
    await waitUntil(`a token in place of ${what}`, isServed);
    t.strictSame(fixture.list(), [CREDENTIAL_FILE, 'state', 'status.json', 'target'], what);
    for (const name of [CREDENTIAL_FILE, 'state', 'status.json']) {
      t.ok(lstatSync(join(fixture.directory, name)).isFile(), `${what}: ${name}`);
    }
    t.equal(readFileSync(target, 'utf8'), 'of others', `${what}: nothing is written through it`);
    t.notMatch(sidecar.logs(), /"level":"error"/, what);
    await sidecar.kill();
  }
});

void t.test('a token file that is a pipe is reported, not waited for', async (t) => {
  const fixture = await createSidecarFixture(t);
  rmSync(fixture.tokenFile);
  t.equal(spawnSync('mkfifo', [fixture.tokenFile]).status, 0);
  await fixture.startOnPort();
  await waitUntil('the report', () => readError(fixture)['code'] === 'assertion-unreadable');
  t.match(readError(fixture), { message: /it is not a file/ });
});

void t.test("a directory that can't be written is reported, and tried again", async (t) => {
  const fixture = await createSidecarFixture(t);
  const missing = join(fixture.directory, 'later');
  const port = String(await findFreePort());
  const sidecar = fixture.start({ ADO_GIT_PORT: port, ADO_GIT_DIRECTORY: missing });
  await waitUntil('the error', () => sidecar.logs().includes(`can't write its directory ${missing}`));
  await waitUntil('an exchange', () => fixture.entra.requests.length === 1);
  t.equal((await ask(sidecar.port, '/readyz')).status, 503, 'a token that is in no file does not count');
  mkdirSync(missing);
  await waitUntil('the token', () => existsSync(join(missing, CREDENTIAL_FILE)));
  t.equal(fixture.entra.requests.length, 1, 'the token was kept');
  await waitUntil('the log line', () => sidecar.logs().includes('can be written again'));
});

void t.test('many idle and half-open connections do not keep a probe out', async (t) => {
  const fixture = await createSidecarFixture(t);
  const sidecar = await fixture.startOnPort();
  await waitUntil('a token', () => isReady(fixture));
  const sockets = Array.from({ length: 40 }, () => connect(sidecar.port, '127.0.0.1').on('error', () => undefined));
  t.teardown(() => sockets.forEach((socket) => socket.destroy()));
  for (const socket of sockets) socket.write('GET /healthz HTTP/1.1\r\nX-');
  t.equal((await ask(sidecar.port, '/healthz')).status, 200);
  const big = await ask(sidecar.port, `/${'x'.repeat(10_000)}`).catch(() => ({ status: 431 }));
  t.equal(big.status, 431);
});

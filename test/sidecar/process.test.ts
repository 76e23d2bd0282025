/** The built sidecar as a real process, against a strict Entra over TLS. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
  CREDENTIAL_FILE,
  findFreePort,
  makeWorld,
  type Sidecar,
  SUBJECT,
  TENANT,
  until,
  type World,
} from '../support/sidecar-fixture.js';

// Each has a world of its own, and most of the time is waiting.
t.jobs = 2;

const isReady = (world: World): boolean => world.read('state').startsWith('state=ready\n');
const readError = (world: World): Record<string, unknown> => {
  const text = world.read('status.json');
  if (text === '') return {};
  const { identities } = JSON.parse(text) as { identities: { error: Record<string, unknown> | null }[] };
  return identities[0]?.error ?? {};
};
const readToken = (world: World): string => /^password=(.*)$/m.exec(world.read(CREDENTIAL_FILE))?.[1] ?? '';

void t.test('a token is fetched, told and served; nothing gives it away', async (t) => {
  const world = await makeWorld(t);
  const sidecar = world.start({ ADO_GIT_PORT: await findFreePort(), ADO_GIT_ORGANIZATIONS: 'shop, tools' });
  await until('a token', () => isReady(world));

  const [, token = '', expiry] =
    /^username=ado-git-identity\npassword=(\S+)\npassword_expiry_utc=(\d+)\n$/.exec(world.read(CREDENTIAL_FILE)) ?? [];
  t.match(world.entra.findToken(token), { clientId: CLIENT, tenantId: TENANT });
  t.ok(Math.abs(Number(expiry) - Date.now() / 1000 - 3600) < 60, 'the expiry is the token’s');
  t.match(world.read('state'), new RegExp(`^state=ready\nfile=${CREDENTIAL_FILE}\nmessage=[^\n]+\n$`));
  t.strictSame(world.list(), [CREDENTIAL_FILE, 'state', 'status.json']);
  for (const name of world.list()) t.equal(statSync(join(world.directory, name)).mode & 0o777, 0o644, name);

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
  t.equal(status.body, world.read('status.json'));
  t.match(JSON.parse(status.body), {
    mode: 'helper',
    organizations: ['shop', 'tools'],
    identities: [{ clientId: CLIENT, tenantId: TENANT, authority: world.entra.origin, state: 'ready', error: null }],
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

  const assertion = readFileSync(world.tokenFile, 'utf8').trim();
  t.notOk(sidecar.logs().includes(token) || sidecar.logs().includes(assertion), 'no token in the logs');
  for (const line of sidecar.logs().trim().split('\n'))
    t.match(JSON.parse(line) as object, { time: String, level: 'info' });

  sidecar.process.kill('SIGTERM');
  t.equal(await sidecar.ended, 0, 'SIGTERM ends it at once');
  t.ok(isReady(world) && readToken(world) === token, 'the token stays for containers that run on');
});

void t.test('tokens are renewed before they end, are adopted after kill -9, and vanish when they end', async (t) => {
  const world = await makeWorld(t, { tokenLifetimeSeconds: 2 });
  let reads = 0;
  const torn: string[] = [];
  const reader = setInterval(() => {
    const text = world.read(CREDENTIAL_FILE);
    if (text === '') return;
    reads += 1;
    if (!/^username=.+\npassword=.+\npassword_expiry_utc=\d+\n$/.test(text)) torn.push(text);
  }, 1);
  t.teardown(() => clearInterval(reader));

  const changes = { ADO_GIT_PORT: await findFreePort() };
  let sidecar = world.start(changes);
  await until('a second token', () => world.entra.requests.length >= 2);
  for (let round = 0; round < 3; round += 1) {
    await until('a token', () => isReady(world) && readToken(world) !== '');
    sidecar.process.kill('SIGKILL');
    await sidecar.ended;
    sidecar = world.start(changes);
    await until(
      'the next sidecar',
      async () =>
        await ask(sidecar.port, '/healthz').then(
          () => true,
          () => false,
        ),
    );
  }

  sidecar.process.kill('SIGKILL');
  await sidecar.ended;
  clearInterval(reader);
  t.strictSame(torn, [], `no torn file in ${reads} reads`);
  t.ok(reads > 100);

  const end = Math.floor(Date.now() / 1000) + 8;
  const left = `username=ado-git-identity\npassword=left\npassword_expiry_utc=${end}\n`;
  writeFileSync(join(world.directory, CREDENTIAL_FILE), left);
  writeFileSync(join(world.directory, 'credential-of-another-tenant'), 'x');
  writeFileSync(join(world.directory, '.new-state'), 'half');
  world.entra.injectFault({ kind: 'status', status: 503 });
  const asked = world.entra.requests.length;
  sidecar = world.start({ ...changes, ADO_GIT_STARTUP: 'require' });
  await until('the adopting sidecar', () => sidecar.logs().includes('"message":"started"'));
  t.equal((await ask(sidecar.port, '/startz')).status, 200, 'an adopted token is a token');
  t.equal(world.read(CREDENTIAL_FILE), left, 'the valid token is adopted');
  t.equal(world.entra.requests.length, asked, 'and Entra is not asked for it');
  t.strictSame(world.list(), [CREDENTIAL_FILE, 'state', 'status.json'], 'leftovers are gone');

  await until('the end of the token', () => !existsSync(join(world.directory, CREDENTIAL_FILE)));
  t.ok(Date.now() >= end * 1000, 'it was served until its end');
  t.match(world.read('state'), /^state=failed\nmessage=The token expired at .* temporary fault \(503\)/);
  t.equal((await ask(sidecar.port, '/readyz')).status, 503);
  t.equal((await ask(sidecar.port, '/startz')).status, 200, 'a lost token takes nothing back');
  world.entra.setTokenLifetime(3600);
  world.entra.recover();
  await until('a token again', () => isReady(world));
  t.equal((await ask(sidecar.port, '/readyz')).status, 200);
});

void t.test("Entra's bad days: each has its class and a sentence, and passes", async (t) => {
  const days: [EntraFault, Record<string, unknown>][] = [
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
    [
      { kind: 'body', body: '{"access_token":"a\\r\\nquit=1","expires_in":60}' },
      { class: 'bad-answer', message: /access_token/ },
    ],
    [
      { kind: 'body', body: '{"access_token":"abc","expires_in":-5}' },
      { class: 'bad-answer', message: /expires_in/ },
    ],
  ];
  const world = await makeWorld(t);
  for (const [day, expected] of days) {
    const name = JSON.stringify(day).slice(0, 80);
    world.entra.injectFault(day);
    rmSync(join(world.directory, 'status.json'), { force: true });
    const sidecar = world.start({ ADO_GIT_PORT: '0' });
    await until(name, () => readError(world)['class'] !== undefined);
    t.match(readError(world), expected, name);
    t.match(world.read('state'), /^state=pending\nmessage=[^\n]+\n$/, 'git waits');
    sidecar.process.kill();
    await sidecar.ended;
  }
  const sidecar = world.start({ ADO_GIT_PORT: await findFreePort(), ADO_GIT_STARTUP: 'wait' });
  await until('a failure', () => sidecar.logs().includes('"level":"warn"'));
  t.equal((await ask(sidecar.port, '/startz')).status, 503, 'containers wait');
  world.entra.recover();
  await until('a token', () => isReady(world));
  t.equal((await ask(sidecar.port, '/startz')).status, 200);
});

void t.test('what waiting can not mend ends the wait at once, with the command that mends it', async (t) => {
  const world = await makeWorld(t);
  const other = 'system:serviceaccount:shop:other';
  await world.projectToken({ subject: other });
  const sidecar = world.start({ ADO_GIT_PORT: await findFreePort(), ADO_GIT_STARTUP: 'wait' });
  await until('the refusal', () => readError(world)['class'] !== undefined);
  t.match(world.read('state'), /^state=failed\n/);
  t.match(world.read('state'), new RegExp(`--issuer \\S+ --subject ${other} --audiences api://AzureADTokenExchange`));
  t.match(readError(world), { aadsts: 700213, class: 'config', detail: /^AADSTS700213: /, traceId: /^[\w-]{36}$/ });
  t.equal((await ask(sidecar.port, '/startz')).status, 200, 'containers wait no longer');
  t.equal((await ask(sidecar.port, '/readyz')).status, 503);
  await world.projectToken({ subject: SUBJECT });
  await until('a token from the assertion that was read afresh', () => isReady(world));
});

void t.test('a token file that is wrong is said, and read again', async (t) => {
  const world = await makeWorld(t);
  const expired = Buffer.from(JSON.stringify({ exp: 1000, sub: SUBJECT })).toString('base64url');
  const contents: [string, () => void][] = [
    ['assertion-missing', () => undefined],
    ['assertion-empty', () => writeFileSync(world.tokenFile, '\n')],
    ['assertion-malformed', () => writeFileSync(world.tokenFile, 'no token')],
    ['assertion-expired', () => writeFileSync(world.tokenFile, `e30.${expired}.c2ln`)],
    ['assertion-unreadable', () => mkdirSync(world.tokenFile)],
  ];
  let sidecar: Sidecar | undefined;
  for (const [code, prepare] of contents) {
    sidecar?.process.kill();
    await sidecar?.ended;
    rmSync(world.tokenFile, { recursive: true, force: true });
    rmSync(join(world.directory, 'status.json'), { force: true });
    prepare();
    sidecar = world.start({ ADO_GIT_PORT: '0' });
    await until(code, () => readError(world)['code'] !== undefined);
    t.match(readError(world), { code, class: 'assertion', message: new RegExp(world.tokenFile) }, code);
    t.match(world.read('state'), /^state=pending\n/);
  }
  rmSync(world.tokenFile, { recursive: true });
  t.equal(world.entra.requests.length, 0, 'Entra was never shown any of it');
  await world.projectToken();
  await until('a token', () => isReady(world));
});

void t.test('a certificate that is not trusted, and authorities that come in a file later', async (t) => {
  const world = await makeWorld(t);
  const file = join(world.directory, '..', 'ca.crt');
  const sidecar = world.start({
    ADO_GIT_PORT: await findFreePort(),
    ADO_GIT_EXTRA_CA: file,
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
  });
  await until('the refusal', () => readError(world)['class'] === 'tls-untrusted');
  t.match(readError(world)['message'], /certificate of https:\/\/localhost:\d+ is not trusted: .*sidecar\.extraCa/);
  t.match(sidecar.logs(), /ca\.crt does not exist/);
  t.equal(world.entra.requests.length, 0, 'nothing was sent');
  writeFileSync(file, 'nonsense');
  await until('the warning', () => sidecar.logs().includes('holds no PEM certificate'));
  writeFileSync(file, `# ours\n${world.authorityPem}`);
  await until('a token', () => isReady(world));
});

void t.test('extra authorities leave those of NODE_EXTRA_CA_CERTS in force', async (t) => {
  const world = await makeWorld(t);
  const stranger = await createAuthority({ commonName: 'stranger', days: 1, now: epochMs(Date.now()) });
  const file = join(world.directory, '..', 'ca.crt');
  writeFileSync(file, world.authorityPem);
  world.start({
    ADO_GIT_PORT: await findFreePort(),
    ADO_GIT_EXTRA_CA: stranger.certificatePem,
    NODE_EXTRA_CA_CERTS: file,
  });
  await until('a token', () => isReady(world));
  t.equal(readError(world)['class'], undefined);
});

void t.test('through a proxy, past a proxy, and a proxy that refuses', async (t) => {
  const world = await makeWorld(t);
  const proxy = await startConnectProxy((host, port) =>
    host === 'localhost' && port === world.entra.port ? port : undefined,
  );
  t.teardown(() => proxy.close());
  const target = `localhost:${world.entra.port}`;
  let sidecar = world.start({ ADO_GIT_PORT: '0', HTTPS_PROXY: proxy.url, NO_PROXY: 'example.com,.svc' });
  await until('a token', () => isReady(world));
  t.strictSame(proxy.targets, [target]);
  sidecar.process.kill();
  await sidecar.ended;

  rmSync(join(world.directory, CREDENTIAL_FILE));
  sidecar = world.start({ ADO_GIT_PORT: '0', https_proxy: proxy.url, no_proxy: 'example.com, localhost' });
  await until('a token past the proxy', () => isReady(world) && readToken(world) !== '');
  t.equal(proxy.targets.length, 1);
  sidecar.process.kill();
  await sidecar.ended;

  rmSync(join(world.directory, CREDENTIAL_FILE));
  world.start({ ADO_GIT_PORT: '0', HTTPS_PROXY: proxy.url, ADO_GIT_AUTHORITY_HOST: 'https://login.example' });
  await until('the refusal', () => readError(world)['class'] === 'proxy-refused');
  t.match(
    readError(world)['message'],
    /proxy http:\/\/127\.0\.0\.1:\d+ refused the connection to login\.example:443 \(403\)/,
  );
});

void t.test('without a port it listens on a socket, and the exec probe asks there', async (t) => {
  const world = await makeWorld(t);
  writeFileSync(join(world.directory, 'sidecar.sock'), 'left by another');
  world.entra.injectFault({ kind: 'status', status: 503 });
  const changes = { ADO_GIT_PORT: '0', ADO_GIT_STARTUP: 'require' };
  t.equal(await world.start(changes, ['probe', 'healthz']).ended, 1, 'nobody listens yet');
  world.start(changes);
  await until('the socket', async () => (await world.start(changes, ['probe', 'healthz']).ended) === 0);
  t.equal(await world.start(changes, ['probe', 'startz']).ended, 1);
  world.entra.recover();
  await until('a token', () => isReady(world));
  t.equal(await world.start(changes, ['probe', 'startz']).ended, 0);
  const socketPath = join(world.directory, 'sidecar.sock');
  t.equal((await ask({ socketPath }, '/status', { host: 'localhost' })).status, 200);
});

void t.test('trouble of its own is one clear line', async (t) => {
  const world = await makeWorld(t);
  const port = await findFreePort();
  const wrong = world.start({
    ADO_GIT_CLIENT_ID: 'x',
    ADO_GIT_TENANT_ID: ' ',
    ADO_GIT_PORT: '80',
    ADO_GIT_STARTUP: 'later',
  });
  t.equal(await wrong.ended, 2);
  t.match(wrong.errors().split('\n'), [
    /ADO_GIT_CLIENT_ID "x" is not/,
    /ADO_GIT_TENANT_ID is missing/,
    /ADO_GIT_PORT "80" is not/,
    /ADO_GIT_STARTUP "later" is not/,
  ]);
  t.equal(wrong.errors().trim().split('\n').length, 4);
  const words = world.start({}, ['prove']);
  t.equal(await words.ended, 2);
  t.match(words.errors(), /"prove" is not understood/);
  t.equal(await world.start({}, ['--version']).ended, 0);

  const first = world.start({ ADO_GIT_PORT: port });
  await until('a token', () => isReady(world));
  const other = await makeWorld(t);
  const second = other.start({ ADO_GIT_PORT: port });
  t.equal(await second.ended, 1);
  t.match(second.errors(), /Port \d+ \(ADO_GIT_PORT\) can't be listened on: another process of the pod uses it/);
  t.match(other.read('state'), /^state=failed\nmessage=Port \d+/, 'git does not wait for it');
  first.process.kill('SIGINT');
  t.equal(await first.ended, 0);
});

void t.test('a directory that can not be written is told, and tried again', async (t) => {
  const world = await makeWorld(t);
  const missing = join(world.directory, 'later');
  const port = await findFreePort();
  const sidecar = world.start({ ADO_GIT_PORT: port, ADO_GIT_DIRECTORY: missing });
  await until('the error', () => sidecar.logs().includes(`can't write its directory ${missing}`));
  await until('an exchange', () => world.entra.requests.length === 1);
  t.equal((await ask(sidecar.port, '/readyz')).status, 503, 'a token that nobody can read is none');
  mkdirSync(missing);
  await until('the token', () => existsSync(join(missing, CREDENTIAL_FILE)));
  t.equal(world.entra.requests.length, 1, 'the token was kept');
  await until('the log line', () => sidecar.logs().includes('can be written again'));
});

void t.test('many idle and half-open connections do not keep a probe out', async (t) => {
  const world = await makeWorld(t);
  const sidecar = world.start({ ADO_GIT_PORT: await findFreePort() });
  await until('a token', () => isReady(world));
  const sockets = Array.from({ length: 40 }, () => connect(sidecar.port, '127.0.0.1').on('error', () => undefined));
  t.teardown(() => sockets.forEach((socket) => socket.destroy()));
  for (const socket of sockets) socket.write('GET /healthz HTTP/1.1\r\nX-');
  t.equal((await ask(sidecar.port, '/healthz')).status, 200);
  const big = await ask(sidecar.port, `/${'x'.repeat(10_000)}`).catch(() => ({ status: 431 }));
  t.equal(big.status, 431);
});

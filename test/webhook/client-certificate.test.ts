/** The client certificate of the API server, over real TLS: who is answered, and what is done for those who are not. */
import { renameSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { createAuthority } from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { verifyListener } from '../../src/certificates/verify.js';
import { createLogger } from '../../src/log.js';
import { webhookHost } from '../../src/names.js';
import { sleep } from '../../src/sleep.js';
import { epochMs, milliseconds } from '../../src/time.js';
import { openClientAuthority } from '../../src/webhook/client-authority.js';
import { closeServer, listen } from '../../src/webhook/listen.js';
import { createMetrics } from '../../src/webhook/metrics.js';
import { limitRequestLog } from '../../src/webhook/request-log.js';
import { createApp } from '../../src/webhook/server.js';
import { createTurns, type Turns } from '../../src/webhook/turns.js';
import { type ClientOptions, issueClientCertificate } from '../support/client-certificate.js';
import { waitForEvent, waitUntil } from '../support/wait.js';
import { createPki, NAMESPACE, request } from '../support/webhook-fixture.js';

const pki = await createPki();
const createClients = () => createAuthority({ commonName: 'clients', days: 1, now: epochMs(Date.now()) });
const clients = await createClients();
const others = await createClients();
const ca = pki.authority.certificatePem;
const HEADERS = { 'content-type': 'application/json' };

async function start(test: Test, commonNames: readonly string[] = []) {
  let output = '';
  const log = createLogger(
    'debug',
    (text) => (output += text),
    () => epochMs(Date.now()),
  );
  const metrics = createMetrics({
    now: () => epochMs(Date.now()),
    countServiceAccounts: () => 0,
    countInFlight: () => 0,
    isReady: () => true,
  });
  const directory = test.testdir();
  const authorityFile = join(directory, 'ca.crt');
  const publish = (pem: string): void => {
    writeFileSync(join(directory, 'next'), pem);
    renameSync(join(directory, 'next'), authorityFile);
  };
  publish(clients.certificatePem);
  const stop = new AbortController();
  test.teardown(() => stop.abort());
  const authority = await openClientAuthority({ authorityFile, commonNames }, { log, sleep, signal: stop.signal });
  let admissions = 0;
  let acquired = 0;
  const clock = () => milliseconds(performance.now());
  const turns = createTurns(clock);
  const app = createApp(
    {
      admit: async () => {
        admissions += 1;
        return Promise.resolve({ status: 200, body: '{}', outcome: 'skipped', reason: '' });
      },
      log: limitRequestLog(log, clock),
      metrics,
      clock,
      turns: {
        run: ((from, work) => {
          acquired += 1;
          return turns.run(from, work);
        }) satisfies Turns['run'],
        noteConnection: () => turns.noteConnection(),
        get count() {
          return turns.count;
        },
      },
      clients: authority,
    },
    pki.server,
  );
  authority.onChange(() => app.renewClientAuthority());
  await app.fastify.ready();
  const port = await listen(app.server, 0, 'PORT');
  test.teardown(() => closeServer(app.server, 0));
  const send = (client?: KeyedCertificate, path = '/mutate') =>
    request(`https://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: HEADERS,
      ca,
      agent: false,
      ...(client !== undefined && { cert: client.certificatePem, key: client.keyPem }),
      body: '{}',
    });
  return {
    app,
    port,
    publish,
    send,
    metrics,
    output: () => output,
    work: () => ({ admissions, acquired }),
  };
}

const issue = (options?: ClientOptions): KeyedCertificate => issueClientCertificate(clients, options);

void t.test('only the API server is answered', async (t) => {
  const { app, port, send, work, metrics } = await start(t);
  const unauthorized = {
    kind: 'Status',
    status: 'Failure',
    code: 401,
    reason: 'Unauthorized',
    message: /none was sent/,
  };
  const forbidden = { kind: 'Status', status: 'Failure', code: 403, reason: 'Forbidden', message: /not one of/ };
  const refused: [string, KeyedCertificate | undefined, object][] = [
    ['no certificate', undefined, unauthorized],
    ['of another authority with the same name', issueClientCertificate(others), forbidden],
    ['of the authority of the webhook itself', issueClientCertificate(pki.authority), forbidden],
    ['expired', issue({ days: -1 }), forbidden],
    ['for servers', issue({ usage: 'serverAuth' }), forbidden],
    ["the webhook's own", pki.server, forbidden],
  ];
  for (const [name, client, expected] of refused) {
    for (const path of ['/mutate', '/elsewhere']) {
      const { status, headers, text } = await send(client, path);
      t.match(JSON.parse(text), expected, `${name}, ${path}`);
      t.equal(status, (JSON.parse(text) as { code: number }).code);
      t.equal(headers.connection, 'close');
    }
  }
  t.strictSame(work(), { admissions: 0, acquired: 0 }, 'nothing is done for them');
  t.equal((await send(issue())).status, 200);
  t.equal((await send(issue({ commonNames: [] }))).status, 200, 'any name');
  t.strictSame(work(), { admissions: 2, acquired: 2 });
  t.match(await metrics.registry.metrics(), /admissions_total\{outcome="refused",reason=""\} 12/);
  app.useCertificate(await pki.issue());
  t.equal((await send(issue())).status, 200, 'also after a change of the server certificate');
  t.equal((await send()).status, 401);
  await verifyListener(port, webhookHost(NAMESPACE), ca);
  t.pass('the webhook can still verify its own certificate');
});

void t.test('only accepted common names, where there are any', async (t) => {
  const { send } = await start(t, ['kube-apiserver', 'other']);
  const cases: [readonly string[], number][] = [
    [['kube-apiserver'], 200],
    [['other'], 200],
    [['Kube-apiserver'], 403],
    [['kube-apiserver.example'], 403],
    [['kube-apiserver', 'other'], 403],
    [[], 403],
  ];
  for (const [commonNames, expected] of cases) {
    const { status, text } = await send(issue({ commonNames }));
    t.equal(status, expected, commonNames.join(' and '));
    if (status === 403) t.match(text, /common name .* is not accepted/);
  }
});

void t.test('the answer does not wait for a body, and the connection is closed', async (t) => {
  const { port, work } = await start(t);
  const headers = { ...HEADERS, 'content-length': '1000000' };
  const sent = httpsRequest({ host: '127.0.0.1', port, path: '/mutate', method: 'POST', headers, ca, agent: false });
  sent.on('error', () => undefined).flushHeaders();
  const [response] = (await waitForEvent('the answer', sent, 'response')) as [{ statusCode: number; resume(): void }];
  t.equal(response.statusCode, 401);
  response.resume();
  await waitForEvent('the end of the connection', sent, 'close');
  t.strictSame(work(), { admissions: 0, acquired: 0 });
});

void t.test('a resumed session without a certificate is none with one', async (t) => {
  const { port } = await start(t);
  const exchange = async (
    options: ConnectionOptions,
  ): Promise<{ answer: string; isResumed: boolean; session: Buffer | undefined }> => {
    let answer = '';
    let session: Buffer | undefined;
    const socket = connectTls({ host: '127.0.0.1', port, ca, ...options });
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString())).on('error', () => undefined);
    let isResumed = false;
    socket.once('secureConnect', () => (isResumed = socket.isSessionReused()));
    socket.on('session', (next: Buffer) => (session = next));
    socket.write(
      'POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}',
    );
    await waitForEvent('the end of the connection', socket, 'close');
    return { answer, isResumed, session };
  };
  const { certificatePem: cert, keyPem: key } = issue();
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { session } = await exchange({ maxVersion });
    if (session === undefined) throw new Error('there is no session to resume');
    const resumed = await exchange({ maxVersion, session });
    t.ok(resumed.isResumed, `${maxVersion}: the session is resumed`);
    t.match(resumed.answer, /^HTTP\/1\.1 401 /, maxVersion);

    const first = await exchange({ maxVersion, cert, key });
    t.match(first.answer, /^HTTP\/1\.1 200 /, maxVersion);
    if (first.session === undefined) throw new Error('there is no session to resume');
    t.match((await exchange({ maxVersion, session: first.session })).answer, /^HTTP\/1\.1 200 /, maxVersion);
  }
});

void t.test('a stranger does not fill the log', async (t) => {
  const { send, output } = await start(t);
  for (let index = 0; index < 20; index += 1) t.equal((await send()).status, 401);
  const lines = output()
    .split('\n')
    .filter((line) => line.includes('none was sent'));
  t.equal(lines.filter((line) => line.includes('"level":"warn"')).length, 5);
  t.equal(lines.length, 20, 'the rest is for debugging');
});

void t.test('another authority is used without a restart', async (t) => {
  const { publish, send, output } = await start(t);
  const other = issueClientCertificate(others);
  t.equal((await send(other)).status, 403);
  publish('nonsense');
  await waitUntil('it is logged', () => output().includes('holds no PEM certificate'));
  t.match(
    output(),
    /ca\.crt \(ADO_GIT_CLIENT_CA_FILE\) holds no PEM certificate.*the authority before it is still used/,
  );
  t.equal((await send(issue())).status, 200, 'the previous one stays');
  publish(clients.certificatePem + others.certificatePem);
  await waitUntil('both are accepted', async () => (await send(other)).status === 200);
  t.equal((await send(issue())).status, 200);
  publish(others.certificatePem);
  await waitUntil('the first one is not', async () => (await send(issue())).status === 403);
  t.equal((await send(other)).status, 200);
});

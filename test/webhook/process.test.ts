/** The webhook as a process: its answer to wrong settings, how it starts, serves, changes its certificate and ends. */
import { spawn } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import * as https from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { type ApiServerEmulator, startApiServerEmulator } from '../../src/emulators/index.js';
import { connect } from '../../src/kubernetes/connect.js';
import { runWebhook } from '../../src/webhook/run.js';
import { createPod, createReview, readResponse } from '../support/admission-review.js';
import { renderKubeconfig } from '../support/kubeconfig.js';
import { plainNodeCommand } from '../support/node-command.js';
import { waitForEvent, waitUntil, withDeadline } from '../support/wait.js';
import { type Answer, createPki, IDENTITY, NAMESPACE, request, TENANT_ID } from '../support/webhook-fixture.js';

const DIST = resolve(import.meta.dirname, '../../dist');
/** What the image runs. */
const IN_POD = [join(DIST, 'webhook.cjs')];
/** What people run. */
const COMMAND = [join(DIST, 'cli.cjs'), 'webhook'];
const TOKEN = 'token-of-the-webhook';
const POD = createPod();
/** Long enough to send a request in it, also from a busy machine. */
const DRAIN_SECONDS = 5;

const pki = await createPki();
const directory = t.testdir();
const running = new Set<() => void>();
t.teardown(() => {
  for (const end of running) end();
});

const certificateFile = writeFile('tls.crt', pki.server.certificatePem);
const keyFile = writeFile('tls.key', pki.server.keyPem);

function writeFile(name: string, text: string): string {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
}

type Environment = Record<string, string>;

function settingsFor({ port }: Pick<ApiServerEmulator, 'port'>, change: Environment = {}): Environment {
  const { certificatePem: authorityPem } = pki.authority;
  return {
    ADO_GIT_LISTEN_PORT: '0',
    ADO_GIT_HEALTH_PORT: '0',
    ADO_GIT_TLS_CERT_FILE: certificateFile,
    ADO_GIT_TLS_KEY_FILE: keyFile,
    ADO_GIT_SIDECAR_IMAGE: 'registry.example/ado-git-identity:1',
    ADO_GIT_TENANT_ID: TENANT_ID,
    ADO_GIT_DRAIN_SECONDS: '0',
    ADO_GIT_LOG_LEVEL: 'debug',
    KUBECONFIG: writeFile(`kubeconfig-${port}`, renderKubeconfig({ port, token: TOKEN, authorityPem })),
    ...change,
  };
}

interface Line {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A run of the webhook, in this process or as a program. */
interface Run {
  /** Exit code, or the signal that ended it, and what it wrote to standard error. */
  readonly waitForEnd: () => Promise<{ readonly code: number | string; readonly errors: string }>;
  /** Its log so far. That of a program comes through a pipe, and may come after an HTTP answer. */
  readonly lines: () => Line[];
  /** The first line of the log whose message begins so. */
  readonly find: (message: string) => Line | undefined;
  readonly waitForLog: (message: string) => Promise<Line>;
  /** As SIGTERM. */
  readonly stop: () => void;
}

function createRun(
  stop: () => void,
  end: (write: { log: (text: string) => void; error: (text: string) => void }) => Promise<number | string>,
): Run {
  let output = '';
  let errors = '';
  const ended = end({ log: (text) => (output += text), error: (text) => (errors += text) }).then((code) => ({
    code,
    errors,
  }));
  const lines = (): Line[] =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  const find = (message: string): Line | undefined => lines().find((line) => line.message.startsWith(message));
  return {
    waitForEnd: () => withDeadline('the webhook ends', ended),
    lines,
    find,
    waitForLog: (message) =>
      waitUntil(`"${message}" in the log`, () => find(message), { describe: () => ({ output, errors }) }),
    stop,
  };
}

/** Runs it in this process. */
function run(env: Environment): Run {
  const stop = new AbortController();
  running.add(() => stop.abort());
  return createRun(
    () => stop.abort(),
    ({ log, error }) => runWebhook({ env, connect, writeLog: log, writeError: error, stop: stop.signal }),
  );
}

/** Runs a built program. */
function spawnProgram(program: readonly string[], env: Environment): Run {
  const child = spawn(...plainNodeCommand(...program), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(() => child.kill('SIGKILL'));
  return createRun(
    () => child.kill('SIGTERM'),
    async ({ log, error }) => {
      child.stdout.on('data', (chunk: Buffer) => log(chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => error(chunk.toString()));
      const [code, signal] = (await waitForEvent('the end of the program', child, 'close', { withinSeconds: 120 })) as [
        number | null,
        string,
      ];
      return code ?? signal;
    },
  );
}

/** Waits until it listens. */
async function waitForPorts(webhook: Run) {
  const listening = await webhook.waitForLog('listening');
  const { port, healthPort } = listening as unknown as { port: number; healthPort: number };
  return {
    ...webhook,
    port,
    mutate: (review: unknown, options: https.RequestOptions = {}): Promise<Answer> =>
      request(`https://127.0.0.1:${port}/mutate`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        ca: pki.authority.certificatePem,
        agent: false,
        ...options,
        body: JSON.stringify(review),
      }),
    health: (path: string): Promise<Answer> => request(`http://127.0.0.1:${healthPort}${path}`, { agent: false }),
  };
}

type Serving = Awaited<ReturnType<typeof waitForPorts>>;

async function waitForReadiness({ health }: Serving, status = 200): Promise<void> {
  await waitUntil(`/readyz answers ${status}`, async () => (await health('/readyz')).status === status);
}

async function waitForMetric({ health }: Serving, line: RegExp): Promise<void> {
  await waitUntil(`${line} in the metrics`, async () => line.test((await health('/metrics')).text));
}

async function startApi(): Promise<ApiServerEmulator> {
  const api = await startApiServerEmulator({ certificate: pki.server, token: TOKEN });
  api.put('apps', 'builder', IDENTITY);
  return api;
}

void t.test('with wrong settings it ends with 2 and a line for each', async (t) => {
  const unrelated = await pki.issue('unrelated');
  const otherKey = writeFile('other.key', unrelated.keyPem);
  const nonsense = writeFile('nonsense', 'nonsense');
  const noContext = writeFile('no-context', JSON.stringify({ kind: 'Config', clusters: [], users: [], contexts: [] }));
  const good = settingsFor({ port: 1 });
  const cases: [string, Environment, RegExp[]][] = [
    [
      'nothing is set',
      {},
      [
        /ADO_GIT_TLS_CERT_FILE is missing/,
        /ADO_GIT_TLS_KEY_FILE is missing/,
        /KUBECONFIG is missing/,
        /SIDECAR_IMAGE is missing/,
      ],
    ],
    [
      'everything is malformed',
      {
        ...good,
        ADO_GIT_LISTEN_PORT: '99999',
        ADO_GIT_HEALTH_PORT: 'http',
        ADO_GIT_CLIENT_ID: 'me',
        ADO_GIT_TENANT_ID: 'us',
        ADO_GIT_AUTHORITY_HOST: 'http://login.example',
        ADO_GIT_LOG_LEVEL: 'loud',
        ADO_GIT_DRAIN_SECONDS: '-1',
        ADO_GIT_CLIENT_COMMON_NAMES: 'kube-apiserver,é',
        ADO_GIT_SIDECAR_PORT: '80',
        ADO_GIT_SIDECAR_RUN_AS_USER: 'root',
        ADO_GIT_SIDECAR_RESOURCES: '{',
        ADO_GIT_SIDECAR_PULL_POLICY: 'Sometimes',
        ADO_GIT_SIDECAR_PULL_SECRETS: 'fine,No_Name',
        ADO_GIT_SIDECAR_HTTPS_PROXY: 'http://user:hunter2hunter2@proxy:1',
        ADO_GIT_SIDECAR_EXTRA_CA: 'no pem',
        ADO_GIT_SIDECAR_EXTRA_CA_CONFIG_MAP: 'No_Name',
        ADO_GIT_SIDECAR_NODE_FLAGS: 'rm -rf',
      },
      [
        /ADO_GIT_LISTEN_PORT "99999" is not a port from 0 to 65535\.$/,
        /ADO_GIT_HEALTH_PORT "http"/,
        /ADO_GIT_CLIENT_ID "me"/,
        /ADO_GIT_TENANT_ID "us"/,
        /ADO_GIT_AUTHORITY_HOST "http:\/\/login.example"/,
        /ADO_GIT_LOG_LEVEL "loud" .* error, warn, info or debug/,
        /ADO_GIT_DRAIN_SECONDS "-1"/,
        /ADO_GIT_CLIENT_COMMON_NAMES "kube-apiserver,é": "é" is not a common name/,
        /ADO_GIT_SIDECAR_PORT "80"/,
        /ADO_GIT_SIDECAR_RUN_AS_USER "root" is not a user id .*, and not "none"/,
        /ADO_GIT_SIDECAR_RESOURCES "{"/,
        /ADO_GIT_SIDECAR_PULL_POLICY "Sometimes"/,
        /ADO_GIT_SIDECAR_PULL_SECRETS "fine,No_Name": "No_Name" is not the name/,
        /ADO_GIT_SIDECAR_HTTPS_PROXY is not http:\/\/HOST:PORT/,
        /ADO_GIT_SIDECAR_EXTRA_CA holds no PEM certificate/,
        /ADO_GIT_SIDECAR_EXTRA_CA_CONFIG_MAP "No_Name"/,
        /ADO_GIT_SIDECAR_NODE_FLAGS "rm -rf": "rm" is not a flag/,
      ],
    ],
    ['both ports are the same', { ...good, ADO_GIT_LISTEN_PORT: '9443', ADO_GIT_HEALTH_PORT: '9443' }, [/both 9443/]],
    ['no certificate file', { ...good, ADO_GIT_TLS_CERT_FILE: '/none.crt' }, [/\/none\.crt can't be read: ENOENT/]],
    [
      'a certificate file of nonsense',
      { ...good, ADO_GIT_TLS_CERT_FILE: nonsense },
      [/nonsense holds no certificate in PEM form/],
    ],
    [
      'a key file of nonsense',
      { ...good, ADO_GIT_TLS_KEY_FILE: nonsense },
      [/nonsense holds no private key in PEM form/],
    ],
    [
      'a key that does not fit',
      { ...good, ADO_GIT_TLS_KEY_FILE: otherKey },
      [/other\.key does not belong to the certificate in .*tls\.crt/],
    ],
    [
      'common names without an authority',
      { ...good, ADO_GIT_CLIENT_COMMON_NAMES: 'kube-apiserver' },
      [/ADO_GIT_CLIENT_COMMON_NAMES is set without ADO_GIT_CLIENT_CA_FILE/],
    ],
    [
      'no file of the client authority',
      { ...good, ADO_GIT_CLIENT_CA_FILE: '/none.crt' },
      [/\/none\.crt \(ADO_GIT_CLIENT_CA_FILE\) can't be read: ENOENT/],
    ],
    [
      'a file of the client authority without a certificate',
      { ...good, ADO_GIT_CLIENT_CA_FILE: nonsense },
      [/nonsense \(ADO_GIT_CLIENT_CA_FILE\) holds no PEM certificate/],
    ],
    [
      'no kubeconfig file',
      { ...good, KUBECONFIG: '/none' },
      [/the kubeconfig \/none \(KUBECONFIG\) can't be read: ENOENT/],
    ],
    [
      'a kubeconfig without a context',
      { ...good, KUBECONFIG: noContext },
      [/no current context.*kubectl config use-context/],
    ],
  ];
  for (const [name, environment, expected] of cases) {
    const { code, errors } = await run(environment).waitForEnd();
    const lines = errors.trimEnd().split('\n');
    t.equal(code, 2, `${name}: exit code`);
    t.equal(lines.length, expected.length, `${name}: a line for each`);
    for (const pattern of expected)
      t.ok(
        lines.some((line) => pattern.test(line)),
        `${name}: ${pattern}`,
      );
    t.notMatch(errors, /^\s+at |hunter2/m, `${name}: no stack trace, no secret`);
  }
  const built: [readonly string[], Environment, RegExp][] = [
    [IN_POD, {}, /^webhook: ADO_GIT_TLS_CERT_FILE is missing/],
    [COMMAND, {}, /^webhook: ADO_GIT_TLS_CERT_FILE is missing/],
    [COMMAND, { ...good, KUBECONFIG: '/none' }, /^webhook: the kubeconfig \/none \(KUBECONFIG\) can't be read/],
    [IN_POD, { ...good, KUBECONFIG: '/none' }, /^webhook: the kubeconfig \/none \(KUBECONFIG\) can't be read/],
  ];
  for (const [program, environment, expected] of built) {
    const { code, errors } = await spawnProgram(program, environment).waitForEnd();
    t.match([code, errors], [2, expected], 'so do the built programs');
  }
});

void t.test('where another program has one of its ports, it ends with 1', async (t) => {
  const other = createServer().listen(0);
  await waitForEvent('the server listens', other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  for (const name of ['ADO_GIT_LISTEN_PORT', 'ADO_GIT_HEALTH_PORT']) {
    const { code, errors } = await run(settingsFor({ port: 1 }, { [name]: String(port) })).waitForEnd();
    t.equal(code, 1);
    t.equal(
      errors,
      `webhook: port ${port} (${name}) can't be listened on: another program uses it; set ${name} to a free port\n`,
    );
  }
});

void t.test('it serves over TLS 1.2 and later, and ends in order', async (t) => {
  const api = await startApi();
  t.teardown(() => api.close());
  const webhook = await waitForPorts(
    spawnProgram(COMMAND, settingsFor(api, { ADO_GIT_DRAIN_SECONDS: String(DRAIN_SECONDS) })),
  );
  await waitForReadiness(webhook);
  t.match(await webhook.waitForLog('the webhook is ready'), { level: 'info' });

  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const first = await webhook.mutate(createReview(POD), { agent });
  t.equal(first.status, 200);
  t.ok((readResponse(first.text).patch?.length ?? 0) > 0, 'the pod is injected');
  t.notOk(first.headers.connection === 'close', 'the connection is kept');

  const oldTls = connectTls({
    port: webhook.port,
    host: '127.0.0.1',
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
    rejectUnauthorized: false,
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  const [refusal] = (await waitForEvent('the error', oldTls, 'error')) as [Error];
  t.match(refusal.message, /protocol version|unsupported protocol|no protocols/i, 'TLS 1.1 is refused');

  const metrics = (await webhook.health('/metrics')).text;
  t.match(metrics, /^ado_git_identity_admissions_total\{outcome="injected",reason=""\} 1$/m);
  for (const bound of ['0.001', '2.5'])
    t.match(metrics, new RegExp(`^ado_git_identity_admission_duration_seconds_bucket\\{le="${bound}"\\} \\d$`, 'm'));
  t.match(metrics, /^ado_git_identity_admission_duration_seconds_bucket\{le="\+Inf"\} 1$/m);
  t.match(metrics, /^ado_git_identity_service_accounts 1$/m);
  t.match(metrics, /^ado_git_identity_certificate_not_after_timestamp_seconds 1\d{9}/m);
  // One after the other waits for an API server that is slow.
  api.injectFault({ delayMs: 60_000, to: ['get'] });
  const seen = new AbortController();
  const waiting = (async () => {
    while (!seen.signal.aborted) await webhook.mutate(createReview(POD, { namespace: 'elsewhere' }), { agent });
  })();
  await waitForMetric(webhook, /^ado_git_identity_admissions_in_flight 1$/m);
  seen.abort();
  await waiting;
  api.recover();
  await waitForMetric(webhook, /^ado_git_identity_admissions_in_flight 0$/m);

  t.equal((await webhook.health('/healthz')).status, 200);
  t.equal((await webhook.health('/nowhere')).status, 404);

  webhook.stop();
  await waitForReadiness(webhook, 503);
  const last = await webhook.mutate(createReview(POD), { agent });
  t.equal(last.status, 200, 'it serves on while the endpoints spread');
  t.equal(last.headers.connection, 'close', 'and sends the client elsewhere');
  const { code, errors } = await webhook.waitForEnd();
  t.same([code, errors], [0, '']);
  t.match(webhook.lines().at(-1), { message: 'stopped' });
});

void t.test('it is ready once the cache is filled, and stays so', async (t) => {
  const api = await startApi();
  t.teardown(() => api.close());
  api.injectFault({ status: 500, to: ['list'] });
  const webhook = await waitForPorts(run(settingsFor(api)));
  await webhook.waitForLog('the watch of the service accounts broke');
  const notReady = await webhook.health('/readyz');
  t.equal(notReady.status, 503);
  t.match(notReady.text, /service-accounts/);
  t.ok(readResponse((await webhook.mutate(createReview(POD))).text).patch, 'it serves by live reads');
  await waitForMetric(webhook, /^ado_git_identity_service_account_live_reads_total\{outcome="found"\} 1$/m);
  await waitForMetric(webhook, /^ado_git_identity_service_accounts_synced 0$/m);

  api.recover();
  await waitForReadiness(webhook);
  await waitForMetric(webhook, /^ado_git_identity_service_accounts_synced 1$/m);
  await waitForMetric(webhook, /^ado_git_identity_service_accounts_last_event_timestamp_seconds 1\d{9}/m);
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'app', uid: 'uid', controller: true };
  const spec = { serviceAccountName: 'builder', containers: [] };
  await webhook.mutate(createReview({ ...createPod({}, { ownerReferences: [owner] }), spec }));
  await waitForMetric(webhook, /^ado_git_identity_events_total\{outcome="sent"\} 1$/m);
  api.injectFault({ status: 500 });
  api.cutWatches();
  await waitForMetric(webhook, /watch_restarts_total\{cause="failed"\} ([2-9]|\d{2,})$/m);
  t.equal((await webhook.health('/readyz')).status, 200, 'it stays ready when the API server is away');
  t.ok(readResponse((await webhook.mutate(createReview(POD))).text).patch, 'and pods are served from the cache');
  webhook.stop();
  t.equal((await webhook.waitForEnd()).code, 0);
});

void t.test('a signal before it is ready, and a second one, end it at once', async (t) => {
  const api = await startApi();
  t.teardown(() => api.close());
  api.injectFault({ status: 500, to: ['list'] });
  const early = await waitForPorts(run(settingsFor(api, { ADO_GIT_DRAIN_SECONDS: '300' })));
  early.stop();
  t.equal((await early.waitForEnd()).code, 0, 'there is nothing to drain');

  api.recover();
  const impatient = await waitForPorts(spawnProgram(COMMAND, settingsFor(api, { ADO_GIT_DRAIN_SECONDS: '300' })));
  await impatient.waitForLog('the webhook is ready');
  impatient.stop();
  await impatient.waitForLog('shutting down');
  impatient.stop();
  t.equal((await impatient.waitForEnd()).code, 1);
});

void t.test('a certificate that is replaced as the kubelet does it is served without a restart', async (t) => {
  const api = await startApi();
  t.teardown(() => api.close());
  const mount = t.testdir();
  const publish = (name: string, certificatePem: string, keyPem: string): void => {
    mkdirSync(join(mount, name));
    writeFileSync(join(mount, name, 'tls.crt'), certificatePem);
    writeFileSync(join(mount, name, 'tls.key'), keyPem);
    symlinkSync(name, join(mount, '..data-new'));
    renameSync(join(mount, '..data-new'), join(mount, '..data'));
  };
  publish('..1', pki.server.certificatePem, pki.server.keyPem);
  for (const name of ['tls.crt', 'tls.key']) symlinkSync(`..data/${name}`, join(mount, name));
  const files = {
    ADO_GIT_TLS_CERT_FILE: join(mount, 'tls.crt'),
    ADO_GIT_TLS_KEY_FILE: join(mount, 'tls.key'),
  };
  const webhook = await waitForPorts(run(settingsFor(api, { ...files, ADO_GIT_NAMESPACE: NAMESPACE })));
  const other = await createPki();
  const ca = [pki.authority.certificatePem, other.authority.certificatePem];
  const readSubject = async (): Promise<string> => {
    const socket = connectTls({ port: webhook.port, host: '127.0.0.1', ca });
    await waitForEvent('the TLS handshake', socket, 'secureConnect');
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return String(subject.CN);
  };
  t.equal(await readSubject(), 'webhook.test');
  await webhook.waitForLog('not ready: the API server could not verify the webhook yet');
  const notReady = await webhook.health('/readyz');
  t.match([notReady.status, notReady.text], [503, /verified-by-the-api-server/]);
  t.match((await webhook.health('/metrics')).text, /^ado_git_identity_ready 0$/m);
  api.setCaBundle(pki.authority.certificatePem);
  await waitForReadiness(webhook);
  await waitForMetric(webhook, /^ado_git_identity_ca_bundle_valid 1$/m);
  t.match((await webhook.health('/metrics')).text, /^ado_git_identity_ready 1$/m);

  const second = await pki.issue('second.test');
  publish('..2', second.certificatePem, pki.server.keyPem);
  t.match(await webhook.waitForLog('the key in'), {
    level: 'error',
    message: /does not belong .*the certificate before it is still served/,
  });
  t.equal(await readSubject(), 'webhook.test', 'a pair that does not fit is not used');

  publish('..3', second.certificatePem, second.keyPem);
  await webhook.waitForLog('a new certificate is served');
  t.equal(await readSubject(), 'second.test');

  const third = await other.issue('third.test');
  publish('..4', third.certificatePem, third.keyPem);
  await webhook.waitForLog('a new certificate waits, the previous one is still served');
  t.equal(await readSubject(), 'second.test', 'one that the caBundle does not verify yet is not used');
  api.setCaBundle(ca.join(''));
  await waitUntil(
    'the third certificate is served',
    () => webhook.lines().filter(({ message }) => message === 'a new certificate is served').length === 2,
  );
  t.equal(await readSubject(), 'third.test');
  const metrics = (await webhook.health('/metrics')).text;
  t.match(metrics, /certificate_reloads_total\{outcome="used"\} 2/);
  t.match(metrics, /certificate_reloads_total\{outcome="refused"\} 1/);
  webhook.stop();
  t.equal((await webhook.waitForEnd()).code, 0);
});

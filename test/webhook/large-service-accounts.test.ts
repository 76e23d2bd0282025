/** The built webhook, started as the chart starts it, among service accounts that are as large as etcd takes them. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { type ApiServerEmulator, startApiServerEmulator } from '../../src/emulators/index.js';
import { ANNOTATION, GROUP } from '../../src/names.js';
import { createPod, createReview, readResponse } from '../support/admission-review.js';
import { renderKubeconfig } from '../support/kubeconfig.js';
import { plainNodeCommand } from '../support/node-command.js';
import { waitUntil } from '../support/wait.js';
import { createPki, IDENTITY, request } from '../support/webhook-fixture.js';

const ROOT = resolve(import.meta.dirname, '../..');
const TOKEN = 'token-of-the-webhook';
/** Limit of all annotations of an object together, less what the identity takes. */
const ANNOTATIONS_BYTES = 255 * 1024;
/** What etcd takes of one object, less some. */
const OBJECT_BYTES = 1_400_000;
const NAMESPACE = 'apps';
const pki = await createPki();

interface Chart {
  readonly webhook: { readonly nodeFlags: readonly string[]; readonly resources: { limits: { memory: string } } };
}
const { webhook: chart } = parse(readFileSync(join(ROOT, 'charts/ado-git-identity/values.yaml'), 'utf8')) as Chart;
const limitMiB = Number(/^(\d+)Mi$/.exec(chart.resources.limits.memory)?.[1]);

/** As many members as fit. */
function fill(bytes: number, createMember: (index: number) => [name: string, value: unknown]): Record<string, unknown> {
  const members: [string, unknown][] = [];
  for (let length = 0; ;) {
    const member = createMember(members.length);
    length += member[0].length + JSON.stringify(member[1]).length + 4;
    if (length > bytes) return Object.fromEntries(members);
    members.push(member);
  }
}

function nest(depth: number): object {
  let value: object = {};
  for (let index = 0; index < depth; index += 1) value = { 'f:a': value };
  return value;
}

/** Kinds of service accounts that take as much memory as their owner can make them take. */
const KINDS: Readonly<Record<string, (api: ApiServerEmulator, name: string) => void>> = {
  'one annotation of others': (api, name) =>
    api.put(NAMESPACE, name, { ...IDENTITY, 'example.com/notes': 'x'.repeat(ANNOTATIONS_BYTES) }),
  'one unknown annotation of the group': (api, name) =>
    api.put(NAMESPACE, name, { ...IDENTITY, [`${GROUP}/notes`]: 'я'.repeat(ANNOTATIONS_BYTES / 2) }),
  'many unknown annotations of the group': (api, name) =>
    api.put(NAMESPACE, name, {
      ...IDENTITY,
      ...(fill(ANNOTATIONS_BYTES, (index) => [`${GROUP}/n${index}`, '']) as Record<string, string>),
    }),
  'one known annotation': (api, name) =>
    api.put(NAMESPACE, name, { ...IDENTITY, [ANNOTATION.projects]: 'x'.repeat(ANNOTATIONS_BYTES) }),
  'all known annotations, as long as they may be': (api, name) =>
    api.put(
      `of-${name}`,
      name,
      Object.fromEntries(Object.values(ANNOTATION).map((annotation) => [annotation, 'я'.repeat(8000)])),
    ),
  labels: (api, name) => api.put(NAMESPACE, name, IDENTITY, { metadata: { labels: LABELS } }),
  secrets: (api, name) => api.put(NAMESPACE, name, IDENTITY, { secrets: SECRETS }),
  'managed fields': (api, name) => api.put(NAMESPACE, name, IDENTITY, { metadata: { managedFields: NESTED } }),
};
const LARGEST: readonly string[] = ['labels', 'secrets', 'managed fields'];
const LABELS = fill(OBJECT_BYTES, (index) => [`l${index}`, '']);
const SECRETS = Array.from({ length: OBJECT_BYTES / 3 }, () => ({}));
const NESTED = Array<object>(170).fill(nest(1000));

function nameAccount(kind: string, index: number): string {
  return `${kind.replaceAll(/[ ,]+/g, '-')}-${index}`;
}

function readPeakMiB(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

async function startWebhook(api: ApiServerEmulator, directory: string) {
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const { port } = api;
  const child = spawn(...plainNodeCommand(...chart.nodeFlags, join(ROOT, 'dist/webhook.cjs')), {
    env: {
      MALLOC_ARENA_MAX: '1',
      MALLOC_MMAP_THRESHOLD_: '65536',
      ADO_GIT_LISTEN_PORT: '0',
      ADO_GIT_HEALTH_PORT: '0',
      ADO_GIT_DRAIN_SECONDS: '0',
      ADO_GIT_SIDECAR_IMAGE: 'registry.example/ado-git-identity:1',
      ADO_GIT_TLS_CERT_FILE: write('tls.crt', pki.server.certificatePem),
      ADO_GIT_TLS_KEY_FILE: write('tls.key', pki.server.keyPem),
      KUBECONFIG: write(
        'kubeconfig',
        renderKubeconfig({ port, token: TOKEN, authorityPem: pki.authority.certificatePem }),
      ),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const waitForLog = (message: string): Promise<boolean> =>
    waitUntil(`"${message}" in the log`, () => output.includes(`"${message}"`), {
      withinSeconds: 120,
      describe: () => ({ output, exit: child.exitCode, signal: child.signalCode }),
    });
  t.teardown(() => child.kill('SIGKILL'));
  await waitForLog('the webhook is ready');
  const servingPort = Number(/"port":(\d+)/.exec(output)?.[1]);
  const admit = async (namespace: string, serviceAccountName: string) => {
    const pod = createPod();
    const { text } = await request(`https://127.0.0.1:${servingPort}/mutate`, {
      method: 'POST',
      ca: pki.authority.certificatePem,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(
        createReview({ ...pod, spec: { ...(pod['spec'] as object), serviceAccountName } }, { namespace }),
      ),
    });
    return readResponse(text);
  };
  return { child, admit, readOutput: () => output };
}

void t.test('large service accounts of each kind', async (t) => {
  const { server: certificate } = pki;
  const api = await startApiServerEmulator({ certificate, token: TOKEN });
  t.teardown(() => api.close());
  for (let index = 0; index < 60; index += 1) {
    for (const [kind, create] of Object.entries(KINDS)) {
      // Of the largest fewer, since the emulator must write each of them again and again.
      if (index < 10 || !LARGEST.includes(kind)) create(api, nameAccount(kind, index));
    }
  }
  api.put('last', 'builder', IDENTITY);
  const { child, admit, readOutput } = await startWebhook(api, t.testdir());
  t.match(readOutput(), /take too much memory/, 'not all fit');

  t.ok((await admit('last', 'builder')).patch, 'the others are served');
  t.ok((await admit(NAMESPACE, 'secrets-9')).patch, 'so are the large ones');
  const refused = await admit(NAMESPACE, 'one-known-annotation-59');
  t.match(refused.status?.message, /annotation ado-git.workload.identity\/projects .*more than 16384 characters/);

  for (const [kind, create] of Object.entries(KINDS)) {
    for (let index = 0; index < 5; index += 1) create(api, `changed-${nameAccount(kind, index)}`);
  }
  api.put('last', 'changed', IDENTITY);
  await waitUntil('the watch brings the last change', async () => (await admit('last', 'changed')).patch !== undefined);

  const peakMiB = readPeakMiB(child.pid);
  t.comment(`at most ${Math.round(peakMiB)} MiB`);
  t.ok(peakMiB < limitMiB, `${peakMiB} MiB are less than ${limitMiB}`);
  t.equal(child.exitCode, null);
});

void t.test('names that nobody else has, and lists one after the other', async (t) => {
  const api = await startApiServerEmulator({ certificate: pki.server, token: TOKEN });
  t.teardown(() => api.close());
  for (let index = 0; index < 20_000; index += 1) {
    const names = Array.from({ length: 8 }, (_, at) => `${GROUP}/${`n${index}-${at}`.padEnd(63, 'x')}`);
    api.put(`team-${index % 3}`, `account-${index}`, Object.fromEntries(names.map((name) => [name, ''])));
  }
  api.put('last', 'builder', IDENTITY);
  const { child, admit, readOutput } = await startWebhook(api, t.testdir());
  const countLists = (): number => readOutput().split('take too much memory').length - 1;
  for (const lists of [2, 3]) {
    api.compact();
    await waitUntil('another list', () => countLists() >= lists, { withinSeconds: 120, describe: readOutput });
  }
  t.ok((await admit('last', 'builder')).patch, 'the others are served');
  const peakMiB = readPeakMiB(child.pid);
  t.ok(peakMiB < limitMiB, `${peakMiB} MiB are less than ${limitMiB}`);
  t.equal(child.exitCode, null);
});

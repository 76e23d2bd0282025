/** What a caller who is not the API server can cause: nothing with words, in places or as often as it likes. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { startApiServerEmulator } from '../../src/emulators/index.js';
import { STANDARD_DEFAULTS } from '../../src/inject/settings.js';
import { createKubernetesApi } from '../../src/kubernetes/client.js';
import { createLogger } from '../../src/log.js';
import { epochMs, milliseconds } from '../../src/time.js';
import { createAdmission } from '../../src/webhook/admission.js';
import { createEventRecorder } from '../../src/webhook/events.js';
import { createServiceAccountCache } from '../../src/webhook/service-account-cache.js';
import { createServiceAccounts } from '../../src/webhook/service-account-lookup.js';
import { createPod, createReview, readResponse, type ReviewResponse } from '../support/admission-review.js';
import { waitUntil } from '../support/wait.js';
import { IDENTITY } from '../support/webhook-fixture.js';

const NOT_PRINTABLE = /(?! )[\p{C}\p{Z}\p{DI}]/u;
const WINDOWS = { os: { name: 'windows' } };
const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'app-7d9', uid: 'uid-1', controller: true };

/** Admission and Events before an API server, with a clock that stands still until it is moved. */
async function start(test: Test) {
  const server = await startApiServerEmulator();
  test.teardown(() => server.close());
  const api = createKubernetesApi({
    server: new URL(`http://127.0.0.1:${server.port}`),
    authorize: () => Promise.resolve({}),
  });
  test.teardown(() => api.close());
  const cache = createServiceAccountCache();
  for (const namespace of ['apps', 'other', 'kube-system']) {
    server.put(namespace, 'builder', IDENTITY);
    cache.set({ namespace, name: 'builder', annotations: IDENTITY });
  }
  let nowMs = 0;
  let lines = '';
  const clock = () => milliseconds(nowMs);
  const now = () => epochMs(nowMs);
  const log = createLogger('debug', (line) => (lines += line), now);
  const counts: Record<string, number> = {};
  const add = (result: string): unknown => (counts[result] = (counts[result] ?? 0) + 1);
  const admit = createAdmission({
    serviceAccounts: createServiceAccounts({ api, cache, clock, onLiveRead: add, budgetMs: 60_000 }),
    defaults: { ...STANDARD_DEFAULTS, image: 'registry.example/ado-git-identity:1' },
    log,
    report: createEventRecorder({ api, cache, log, now, clock, count: add }),
  });
  const send = async (pod: unknown, change: Record<string, unknown> = {}): Promise<ReviewResponse> => {
    const { status, body } = await admit(Buffer.from(JSON.stringify(createReview(pod, change))), (work) =>
      Promise.resolve(work()),
    );
    return status === 200 ? readResponse(body) : { uid: '', allowed: false, status: JSON.parse(body) as never };
  };
  return {
    server,
    cache,
    counts,
    send,
    log: () => lines,
    wait: (ms: number): void => void (nowMs += ms),
    /** Sends the review of a pod that can't be served; its Event is sent, or never. */
    refuse: (metadata: object, change: Record<string, unknown> = {}, spec: object = WINDOWS) => {
      const pod = createPod({}, { ownerReferences: [OWNER], ...metadata });
      return send({ ...pod, spec: { ...(pod['spec'] as object), ...spec } }, change);
    },
    /** Waits until so many Events are sent. */
    settle: (expected: number) => waitUntil(`${expected} Events`, () => (counts['sent'] ?? 0) >= expected),
  };
}

void t.test('a name that no object can have is denied, quoted and cut, and nothing is asked or written', async (t) => {
  const { server, send, refuse, log } = await start(t);
  const wrong = ['.', '..', '../..', 'a/b', 'a%2fb', 'A', 'a b', 'a_b', '-a', 'a-', 'a..b', 'x;id', 'x\u001b[2J', 'é'];
  const fields: [string, (name: string) => Promise<ReviewResponse>][] = [
    ['request.namespace', (namespace) => refuse({}, { namespace })],
    ['metadata.name', (name) => refuse({ name })],
    ['metadata.generateName', (generateName) => refuse({ generateName: `${generateName}/` })],
    ['spec.serviceAccountName', (serviceAccountName) => refuse({}, {}, { serviceAccountName })],
  ];
  for (const [field, ask] of fields) {
    for (const name of [...wrong, 'n'.repeat(1000)]) {
      const { allowed, status } = await ask(name);
      const text = status?.message ?? '';
      t.match([allowed, status?.code], [false, 400], `${field} ${JSON.stringify(name)}`);
      t.ok(text.includes(`${field} "`) && text.length < 300 && !NOT_PRINTABLE.test(text), text);
    }
  }
  t.equal((await send(createPod(), { namespace: 'n'.repeat(64) })).allowed, false, 'a namespace is a label');
  t.match(await send(createPod(), { uid: 'x\ny' }), { status: { code: 400, message: /request\.uid "x\\ny"/ } });
  t.equal(server.requests.length, 0, 'no path of the API is reached');
  t.notMatch(log(), /n{100}/, 'no long name is logged');

  for (const metadata of [{ name: 'a.b-c' }, { generateName: 'app-' }, { generateName: 'a.b--' }, { name: '' }]) {
    t.ok((await send(createPod({}, metadata))).patch, `served: ${JSON.stringify(metadata)}`);
  }
});

void t.test('no name leads out of its place in a path', async (t) => {
  const { server, send, refuse } = await start(t);
  const names = fc.oneof(
    fc.string({ unit: fc.constantFrom('.', '/', '%', '2', 'f', 'e', '\\', 'a', ';', '?', '#', '\n'), maxLength: 8 }),
    fc.string({ unit: 'binary', maxLength: 8 }),
  );
  await fc.assert(
    fc.asyncProperty(names, names, async (namespace, serviceAccountName) => {
      const pod = createPod();
      await send({ ...pod, spec: { ...(pod['spec'] as object), serviceAccountName } }, { namespace });
      await refuse({ ownerReferences: [{ ...OWNER, name: namespace, uid: serviceAccountName }] }, { namespace });
    }),
    { numRuns: 200 },
  );
  const label = '[a-z0-9-]+';
  const path = new RegExp(`^GET /api/v1/namespaces/${label}/serviceaccounts/${label}(?:\\.${label})*$`);
  for (const line of server.requests) t.match(line, path);
});

void t.test('an Event is about what exists, in printable words of ours', async (t) => {
  const { server, counts, refuse, settle } = await start(t);
  for (const change of [{ namespace: 'nowhere' }, { namespace: 'kube-system' }]) await refuse({}, change);
  await refuse({}, {}, { ...WINDOWS, serviceAccountName: 'unknown' });
  for (const owner of [
    { name: '../../x' },
    { name: 'Please run this' },
    { name: 'n'.repeat(254) },
    { kind: 'A b' },
    { apiVersion: 'a/b/c' },
    { apiVersion: '../v1' },
    { uid: 'u v' },
    { uid: 'u'.repeat(129) },
    { uid: '' },
  ]) {
    await refuse({ ownerReferences: [{ ...OWNER, ...owner }] });
  }
  t.strictSame(server.events, []);
  t.equal(counts['dropped'], 2, 'those of unknown namespaces and accounts are counted');

  const words = 'Warning: run this \u202e\u200b\u001b[2J';
  await refuse({ labels: { 'azure.workload.identity/use': 'true', [words]: 7 } }, {}, {});
  await refuse(
    { ownerReferences: [{ ...OWNER, uid: 'uid-2' }] },
    {},
    { containers: [{ name: words, ports: [{ containerPort: 8779 }] }] },
  );
  await refuse({ ownerReferences: [{ ...OWNER, name: `${'a'.repeat(229)}-b`, uid: 'uid-3' }] });
  await settle(3);
  t.strictSame([server.events.length, counts['dropped']], [3, 2]);
  for (const event of server.events) {
    const text = JSON.stringify(event);
    t.notMatch(text, /run this|\\u/, text);
    t.notMatch(text, NOT_PRINTABLE);
  }
  const [label, port, long] = server.events as unknown as { message: string; metadata: { name: string } }[];
  t.match(label?.message, /^malformed-pod: pod apps\/app-\*: metadata\.labels\["…"\] is not a text/);
  t.match(port?.message, /^port-taken: pod apps\/app-\*: container "…" has containerPort 8779/);
  t.match(long?.metadata.name, /^a{229}\.[0-9a-f]{16}$/, 'a name that was cut is still a name');
});

void t.test('Events are limited in each namespace and in total', async (t) => {
  const { server, cache, counts, refuse, settle, wait } = await start(t);
  const flood = async (namespace: string, label: string, times: number): Promise<void> => {
    for (let index = 0; index < times; index += 1)
      await refuse({ ownerReferences: [{ ...OWNER, uid: `${label}-${index}` }] }, { namespace });
  };
  await flood('apps', 'first', 200);
  t.equal(counts['dropped'], 180, 'of one namespace');
  await settle(20);
  await flood('apps', 'first', 20);
  t.equal(counts['dropped'], 180, 'what was sent is not sent again');
  await flood('apps', 'first', 30);
  t.equal(counts['dropped'], 190, 'what was dropped is not taken for sent');
  wait(60_000);
  await flood('apps', 'second', 10);
  t.equal(counts['dropped'], 199, 'one a minute');
  await settle(21);
  for (let index = 0; index < 20; index += 1) {
    cache.set({ namespace: `team-${index}`, name: 'builder', annotations: {} });
    await flood(`team-${index}`, `team-${index}`, 20);
  }
  await settle(110);
  t.equal(counts['dropped'], 199 + 400 - 89, 'of all namespaces');
  t.equal(server.events.length, 110);
});

void t.test('live reads have a budget: ordinary bursts pass, a flood does not reach the API server', async (t) => {
  const { server, cache, counts, send, wait } = await start(t);
  const reads = (): number => server.requests.length;
  server.put('fresh', 'builder', IDENTITY);
  const burst = await Promise.all(Array.from({ length: 200 }, () => send(createPod(), { namespace: 'fresh' })));
  t.equal(burst.filter(({ patch }) => patch !== undefined).length, 200, 'all pods of a fresh namespace are served');
  let served = 0;
  for (let index = 0; index < 200; index += 1) {
    if (index % 20 === 0) wait(1000);
    if ((await send(createPod(), { namespace: 'fresh' })).patch !== undefined) served += 1;
  }
  t.equal(served, 200, 'and as many one by one, 20 a second');
  wait(3_600_000);
  const before = reads();
  const answers: ReviewResponse[] = [];
  for (let index = 0; index < 1000; index += 1)
    answers.push(await send(createPod(), { namespace: `invented-${index}` }));
  t.equal(reads() - before, 250, 'invented namespaces share one allowance');
  t.match(answers.at(-1), { allowed: false, status: { code: 503, message: /too many were read in the last seconds/ } });
  t.equal(counts['over-budget'], 750);

  cache.set({ namespace: 'known', name: 'plain', annotations: {} });
  server.put('known', 'plain', IDENTITY);
  const askPlain = async (): Promise<ReviewResponse> => {
    const pod = createPod();
    return send({ ...pod, spec: { ...(pod['spec'] as object), serviceAccountName: 'plain' } }, { namespace: 'known' });
  };
  t.ok((await askPlain()).patch, 'a known namespace has an allowance of its own');
  for (let index = 0; index < 300; index += 1) {
    const pod = createPod();
    const spec = { ...(pod['spec'] as object), serviceAccountName: `invented-${index}` };
    await send({ ...pod, spec }, { namespace: 'known' });
  }
  t.match(
    await askPlain(),
    { allowed: true, warnings: [/no annotation azure\.workload\.identity\/client-id/] },
    'where it is used up, what the cache knows is the answer',
  );
  t.ok((await send(createPod())).patch, 'pods whose account is known need none');
});

void t.test('commands that are offered can be copied', async (t) => {
  const { server, cache, send } = await start(t);
  cache.set({ namespace: 'apps', name: 'plain', annotations: {} });
  server.put('apps', 'plain', {});
  const pod = createPod();
  const ask = (serviceAccountName: string) =>
    send({ ...pod, spec: { ...(pod['spec'] as object), serviceAccountName } });
  t.match((await ask('plain')).warnings, [/kubectl annotate serviceaccount plain -n apps azure/]);
  t.match((await ask('none')).warnings, [/kubectl create serviceaccount none -n apps$/]);
});

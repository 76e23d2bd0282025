/** Service accounts from a list, a watch and live reads, and Events, against the strict emulator of the API. */
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { MAX_ANNOTATION_LENGTH } from '../../src/defaults.js';
import { type ApiServerEmulator, startApiServerEmulator } from '../../src/emulators/index.js';
import {
  DENIED_REASONS,
  LASTING_REASONS,
  type Outcome,
  OVERLONG_VALUE,
  PASSING_REASONS,
  type ServiceAccountLookup,
} from '../../src/inject/index.js';
import { createKubernetesApi } from '../../src/kubernetes/client.js';
import { createLogger } from '../../src/log.js';
import { addMs, epochMs, type Milliseconds, milliseconds } from '../../src/time.js';
import { createEventRecorder, formatEventReason } from '../../src/webhook/events.js';
import { reflectServiceAccounts } from '../../src/webhook/reflector.js';
import { createServiceAccountCache } from '../../src/webhook/service-account-cache.js';
import { createServiceAccounts } from '../../src/webhook/service-account-lookup.js';
import { createPod } from '../support/admission-review.js';
import { plainNodeCommand } from '../support/node-command.js';
import { waitForEvent, waitUntil } from '../support/wait.js';
import { CLIENT_ID, IDENTITY } from '../support/webhook-fixture.js';

/** Of a live read that must be answered, however busy the machine is. */
const PATIENT_MS = 60_000;
const clock = (): Milliseconds => milliseconds(performance.now());
const hasClient = (annotations: Readonly<Record<string, string>>): boolean =>
  annotations['azure.workload.identity/client-id'] !== undefined;
const log = createLogger(
  'error',
  () => undefined,
  () => epochMs(Date.now()),
);

async function startApi(test: Test) {
  const server = await startApiServerEmulator();
  test.teardown(() => server.close());
  const api = createKubernetesApi({
    server: new URL(`http://127.0.0.1:${server.port}`),
    authorize: () => Promise.resolve({}),
  });
  test.teardown(() => api.close());
  return { server, api };
}

/** The `limit` of each page that was asked for. */
function listLimits({ requests }: ApiServerEmulator): number[] {
  return requests.flatMap((line) => {
    const limit = /limit=(\d+)/.exec(line)?.[1];
    return limit === undefined ? [] : [Number(limit)];
  });
}

/** Runs the reflector until the test ends; its pauses are recorded, and cut short. */
async function startReflector(
  test: Test,
  server: ApiServerEmulator,
  api: ReturnType<typeof createKubernetesApi>,
  { idleMs = 60_000, maxCost }: { readonly idleMs?: number; readonly maxCost?: number } = {},
) {
  const cache = createServiceAccountCache(maxCost);
  const stop = new AbortController();
  const restarts: string[] = [];
  const pauses: number[] = [];
  let syncs = 0;
  const running = reflectServiceAccounts({
    api,
    cache,
    log,
    observer: { synced: () => (syncs += 1), heard: () => undefined, restarted: (cause) => restarts.push(cause) },
    signal: stop.signal,
    sleep: async (milliseconds) => {
      pauses.push(milliseconds);
      await new Promise((resolve) => setTimeout(resolve, 5));
    },
    random: () => 0.5,
    timing: { idleMs, requestTimeoutMs: 5000 },
  });
  test.teardown(async () => {
    stop.abort();
    await running;
  });
  await waitUntil('a watch', () => server.watchers() === 1);
  return { cache, restarts, pauses, syncs: () => syncs, stop, running };
}

void t.test('a list in pages, then a watch', async (t) => {
  const { server, api } = await startApi(t);
  for (let index = 0; index < 1200; index += 1)
    server.put('many', `account-${index}`, index === 1100 ? IDENTITY : undefined);
  const { cache, stop, running, restarts } = await startReflector(t, server, api);
  t.equal(cache.size, 1200);
  t.same(cache.get('many', 'account-1100'), IDENTITY);
  t.equal(
    cache.get('many', 'account-1'),
    cache.get('many', 'account-2'),
    'nothing is kept of those without annotations',
  );
  t.same(listLimits(server), [100, 200, 400, 500], 'pages grow while they are small');

  server.put('apps', 'builder', { ...IDENTITY, note: 'x'.repeat(10_000) });
  await waitUntil('the new account', () => cache.get('apps', 'builder') !== undefined);
  t.same(cache.get('apps', 'builder'), IDENTITY, 'of its annotations only what injection reads');
  server.put('apps', 'builder', {});
  await waitUntil('its change', () => !hasClient(cache.get('apps', 'builder') ?? IDENTITY));
  server.remove('apps', 'builder');
  await waitUntil('its removal', () => cache.get('apps', 'builder') === undefined);
  t.equal(cache.size, 1200);
  stop.abort();
  await running;
  t.equal(server.watchers(), 0, 'it stops when it is asked to');
  t.same(restarts, []);
});

void t.test('a page that is too large is asked for again with half as many', async (t) => {
  const { server, api } = await startApi(t);
  const megabyte = 'x'.repeat(1024 * 1024);
  for (let index = 0; index < 20; index += 1) {
    server.put('big', `account-${index}`, IDENTITY, { secrets: [{ name: megabyte }] });
  }
  server.put('big', 'last', IDENTITY, { secrets: Array.from({ length: 12 }, () => ({ name: megabyte })) });
  const { cache } = await startReflector(t, server, api);
  t.equal(cache.size, 21, 'one account that is larger than a page is read as well');
  t.same(cache.get('big', 'last'), IDENTITY);
  t.same(listLimits(server), [100, 50, 25, 12, 6, 6, 6, 6, 3, 1, 2, 1, 2, 1]);

  server.put('big', 'last', {}, { metadata: { labels: { a: megabyte.repeat(12) } } });
  await waitUntil('its change', () => !hasClient(cache.get('big', 'last') ?? IDENTITY));
});

void t.test('of annotations only what is read is kept, and of long ones only that they are too long', async (t) => {
  const { server, api } = await startApi(t);
  const group = 'ado-git.workload.identity';
  const unknown = Object.fromEntries(
    Array.from({ length: 300 }, (_, index) => [`${group}/unknown-${index}`, 'x'.repeat(500)]),
  );
  const longest = 'x'.repeat(MAX_ANNOTATION_LENGTH);
  server.put('apps', 'builder', {
    ...unknown,
    ...IDENTITY,
    [`${group}/status`]: 'x',
    'azure.workload.identity/other': 'x',
    [`${group}/organizations`]: longest,
    [`${group}/projects`]: `${longest}x`,
    [`${group}/containers`]: '\u0001'.repeat(MAX_ANNOTATION_LENGTH + 1),
  });
  const { cache } = await startReflector(t, server, api);
  const {
    [`${group}/organizations`]: organizations,
    [`${group}/projects`]: projects,
    [`${group}/containers`]: containers,
    ...rest
  } = cache.get('apps', 'builder') ?? {};
  t.equal(organizations, longest, 'what may be read is whole');
  t.equal(projects, OVERLONG_VALUE);
  t.equal(containers, OVERLONG_VALUE, 'however it is written in JSON');
  t.same(Object.keys(rest).filter((name) => !(name in IDENTITY)).length, 9, 'of unknown ones a few names');
  t.match(rest, IDENTITY);
  t.ok(Object.values(rest).every((value) => value.length < 40));
  const accounts = createServiceAccounts({ api, cache, clock, onLiveRead: () => undefined, budgetMs: PATIENT_MS });
  t.same(await accounts.readLive('apps', 'builder'), accounts.findCached('apps', 'builder'), 'a live read is the same');
});

void t.test('what does not fit is not kept, and is read live', async (t) => {
  const { server, api } = await startApi(t);
  const large = { ...IDENTITY, 'ado-git.workload.identity/organizations': 'x'.repeat(10_000) };
  server.put('apps', 'builder', IDENTITY);
  for (let index = 0; index < 8; index += 1) server.put('greedy', `account-${index}`, large);
  server.put('other', 'builder', IDENTITY);
  const { cache, syncs } = await startReflector(t, server, api, { maxCost: 50_000 });
  t.equal(syncs(), 1);
  for (const namespace of ['apps', 'other']) {
    t.same(cache.get(namespace, 'builder'), IDENTITY, 'one namespace does not push out the others');
  }
  t.equal(cache.size, 6);
  const accounts = createServiceAccounts({ api, cache, clock, onLiveRead: () => undefined, budgetMs: PATIENT_MS });
  const forgotten = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => `account-${index}`);
  const unknown = forgotten.filter((name) => accounts.findCached('greedy', name) === undefined);
  t.equal(unknown.length, 4);
  for (const name of unknown) {
    t.same(await accounts.readLive('greedy', name), { state: 'found', annotations: large });
  }

  for (const namespace of ['a', 'b', 'c', 'd', 'e', 'f']) server.put(namespace, 'builder', large);
  server.put('last', 'builder', IDENTITY);
  await waitUntil('the last', () => cache.get('last', 'builder') !== undefined);
  t.same(cache.get('apps', 'builder'), IDENTITY, 'who has little keeps it');
  const rich = ['greedy', 'a', 'b', 'c', 'd', 'e', 'f'].filter((namespace) => cache.hasNamespace(namespace));
  t.equal(rich.length, 4, 'all namespaces together are limited too');
});

void t.test('a watch that breaks continues where it was', async (t) => {
  const { server, api } = await startApi(t);
  server.put('apps', 'builder', IDENTITY);
  const { cache, restarts, syncs } = await startReflector(t, server, api);
  server.put('apps', 'second', IDENTITY);
  server.bookmark();
  await waitUntil('the second account', () => cache.size === 2);
  server.cutWatches();
  server.put('apps', 'third', IDENTITY);
  await waitUntil('the third account', () => cache.size === 3);
  t.equal(restarts[0], 'failed');
  t.equal(syncs(), 1, 'without another list');
});

void t.test('a connection on which nothing comes is given up', async (t) => {
  const { server, api } = await startApi(t);
  server.put('apps', 'builder', IDENTITY);
  const { cache, restarts } = await startReflector(t, server, api, { idleMs: 200 });
  server.stallWatches();
  server.put('apps', 'second', IDENTITY);
  await waitUntil('the second account', () => cache.size === 2);
  t.equal(restarts[0], 'failed');
});

void t.test('a version that is too old leads to another list', async (t) => {
  const { server, api } = await startApi(t);
  server.put('apps', 'builder', IDENTITY);
  server.put('apps', 'second', IDENTITY);
  const { cache, restarts, syncs } = await startReflector(t, server, api);
  server.stallWatches();
  server.remove('apps', 'second');
  server.compact();
  server.cutWatches();
  await waitUntil('the list without the second account', () => cache.size === 1);
  t.ok(restarts.includes('expired'), 'by the answer 410');

  const before = syncs();
  await waitUntil('a watch', () => server.watchers() === 1);
  server.compact();
  await waitUntil('another list', () => syncs() > before);
  t.equal(restarts.at(-1), 'expired', 'by an ERROR event');
  t.equal(cache.size, 1);
});

void t.test('a watch that fails again and again leads to another list', async (t) => {
  const { server, api } = await startApi(t);
  server.put('apps', 'builder', IDENTITY);
  const { cache, restarts, syncs } = await startReflector(t, server, api);
  server.injectFault({ status: 500, to: ['watch'] });
  server.cutWatches();
  server.put('apps', 'second', IDENTITY);
  await waitUntil('another list', () => syncs() >= 2);
  t.equal(cache.size, 2, 'it brings what the watch can not');
  t.ok(restarts.filter((cause) => cause === 'failed').length >= 5, 'not at the first failure');
});

void t.test('while the API server is away, there are only pauses', async (t) => {
  const { server, api } = await startApi(t);
  server.put('apps', 'builder', IDENTITY);
  const { cache, pauses, syncs } = await startReflector(t, server, api);
  server.compact();
  server.injectFault({ status: 503 });
  await waitUntil('nine pauses', () => pauses.length >= 9);
  t.equal(cache.size, 1, 'what was known stays');
  t.same(pauses.slice(0, 8), [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000], 'each longer, up to a bound');
  server.recover();
  await waitUntil('another list', () => syncs() >= 2);
});

void t.test('the cache answers what it can', async (t) => {
  const { server, api } = await startApi(t);
  server.put('apps', 'builder', IDENTITY);
  server.put('apps', 'late', {});
  const { cache } = await startReflector(t, server, api);
  const results: string[] = [];
  const onLiveRead = (result: string): unknown => results.push(result);
  const accounts = createServiceAccounts({ api, cache, clock, onLiveRead, budgetMs: PATIENT_MS });
  const reads = (): number => server.requests.filter((line) => line.includes('/namespaces/')).length;

  t.same(accounts.findCached('apps', 'builder'), { state: 'found', annotations: IDENTITY });

  server.stallWatches();
  server.put('apps', 'late', IDENTITY);
  t.same(accounts.findCached('apps', 'late'), { state: 'found', annotations: {} });
  t.same(await accounts.readLive('apps', 'late'), { state: 'found', annotations: IDENTITY }, 'annotated just now');
  server.put('apps', 'new', IDENTITY);
  t.equal(accounts.findCached('apps', 'new'), undefined);
  t.same(await accounts.readLive('apps', 'new'), { state: 'found', annotations: IDENTITY }, 'created just now');
  t.equal(accounts.findCached('apps', 'none'), undefined);
  t.equal(reads(), 2, 'the cache is read without a request');
  t.same(await accounts.readLive('apps', 'none'), { state: 'missing' });
  t.same(results, ['found', 'found', 'missing']);

  const before = reads();
  server.injectFault({ delayMs: 50 });
  await Promise.all(Array.from({ length: 20 }, () => accounts.readLive('apps', 'new')));
  t.equal(reads(), before + 1, 'concurrent questions share one read');

  server.injectFault({ status: 500 });
  t.match(await accounts.readLive('apps', 'new'), { state: 'unavailable', cause: /answered with 500/ });
  t.equal(accounts.findCached('apps', 'builder')?.state, 'found', 'the cache still answers');
});

void t.test('a live read is bounded, and so are many', async (t) => {
  const { server, api } = await startApi(t);
  const cache = createServiceAccountCache();
  const accounts = createServiceAccounts({ api, cache, clock, onLiveRead: () => undefined, budgetMs: 150 });
  server.injectFault({ delayMs: 60_000 });
  const names = Array.from({ length: 40 }, (_, index) => `account-${index}`);
  const answers = await Promise.all(names.map((name) => accounts.readLive('apps', name)));
  for (const answer of answers)
    t.match(answer, { state: 'unavailable', cause: /within 0\.(0\d*|1[0-4]\d*|15) s|under way/ });
  t.ok(server.requests.length <= 16, 'no more reads are under way than the limit');

  server.recover();
  server.put('apps', 'builder', IDENTITY);
  const find = async (): Promise<ServiceAccountLookup> => {
    const lookup = await accounts.readLive('apps', 'builder');
    return lookup === 'over-budget' ? { state: 'missing' } : lookup;
  };
  // On a busy machine some reads pass their budget.
  await waitUntil('a read that is answered: the places are free again', async () => (await find()).state === 'found');
  await server.close();
  await waitUntil('a read that says that nothing listens', async () => {
    const lookup = await find();
    return lookup.state === 'unavailable' && lookup.cause.includes('ECONNREFUSED');
  });
});

void t.test('an answer that waits to be read is not late, however busy the thread is', async (t) => {
  // The server is a process of its own, as the thread of the test is kept busy. It writes a file when it has answered.
  const answered = join(t.testdir(), 'answered');
  const body = JSON.stringify({ metadata: { name: 'builder', namespace: 'apps', annotations: IDENTITY } });
  const program = `
    require('http')
      .createServer((_, response) =>
        response.end(${JSON.stringify(body)}, () => require('fs').writeFileSync(${JSON.stringify(answered)}, '')))
      .listen(0, '127.0.0.1', function () { console.log(this.address().port) })`;
  const child = spawn(...plainNodeCommand('-e', program), { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [port] = (await waitForEvent('the first data', child.stdout, 'data')) as [Buffer];
  const server = new URL(`http://127.0.0.1:${port.toString().trim()}`);
  const api = createKubernetesApi({ server, authorize: () => Promise.resolve({}) });
  t.teardown(() => api.close());
  const cache = createServiceAccountCache();
  const budgetMs = 200;
  const accounts = createServiceAccounts({ api, cache, clock, onLiveRead: () => undefined, budgetMs });
  const find = () => accounts.readLive('apps', 'builder');
  await waitUntil(
    'a read that leaves an open connection',
    async () => ((await find()) as ServiceAccountLookup).state === 'found',
  );
  await waitUntil('its end', () => existsSync(answered));
  rmSync(answered);
  const found = find();
  // The request goes out; its answer comes while nothing else can run.
  await new Promise(setImmediate);
  const start = Date.now();
  while ((Date.now() < start + 2 * budgetMs || !existsSync(answered)) && Date.now() < start + PATIENT_MS);
  t.ok(existsSync(answered), 'the answer came while the thread was busy');
  t.match(await found, { state: 'found' });
});

void t.test('reasons of Events are written as Kubernetes writes them', (t) => {
  t.equal(formatEventReason('no-client-id'), 'NoClientId');
  for (const code of [...LASTING_REASONS, ...DENIED_REASONS, ...PASSING_REASONS]) {
    t.match(formatEventReason(code), /^[A-Z][a-z]+(?:[A-Z][a-z]+)*$/, code);
  }
  t.end();
});

void t.test('Events', async (t) => {
  const { server, api } = await startApi(t);
  let now = epochMs(Date.UTC(2030, 0, 1, 12, 0, 0, 789));
  const counts: string[] = [];
  const cache = createServiceAccountCache();
  cache.set({ namespace: 'apps', name: 'builder', annotations: {} });
  const createRecorder = () =>
    createEventRecorder({
      api,
      cache,
      log,
      now: () => now,
      clock: () => milliseconds(0),
      count: (result) => counts.push(result),
    });
  const record = createRecorder();
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'app-7d9', uid: 'uid-1', controller: true };
  const refused = (answer: 'admit' | 'deny', message = `no client id ${CLIENT_ID}`): Outcome => ({
    kind: 'refused',
    reason: 'no-client-id',
    subject: 'service-account',
    message,
    answer,
  });
  const requestFor = (pod: unknown) => ({ uid: 'u', namespace: 'apps', podName: 'app', dryRun: false, pod });
  const owned = requestFor(createPod({}, { ownerReferences: [owner] }));

  record(refused('admit'), owned);
  record(refused('admit'), owned);
  await waitUntil('the Event', () => counts.length === 1);
  t.equal(server.events.length, 1, 'one an hour for each owner and reason');
  t.match(server.events[0], {
    type: 'Warning',
    reason: 'NoClientId',
    action: 'Injecting',
    message: `no-client-id: no client id ${CLIENT_ID}`,
    reportingComponent: 'ado-git-identity',
    firstTimestamp: '2030-01-01T12:00:00Z',
    involvedObject: { kind: 'ReplicaSet', name: 'app-7d9', uid: 'uid-1', namespace: 'apps' },
  });

  createRecorder()(refused('admit'), owned);
  await waitUntil('the Event of the other replica', () => counts.length === 2);
  t.equal(server.events.length, 1, 'nor does another replica say it again');
  t.same(counts, ['sent', 'sent']);

  now = addMs(now, 3_600_000);
  record(refused('admit', 'é'.repeat(1000)), owned);
  await waitUntil('the Event of the next hour', () => counts.length === 3);
  t.equal(server.events.length, 2, 'the next hour');
  t.match(server.events[1], { message: /^no-client-id: é{503}…$/ });

  record(refused('deny'), owned);
  record({ kind: 'skipped', reason: 'disabled', message: '' }, owned);
  for (const ownerReferences of [
    undefined,
    [],
    'x',
    [null],
    [{ controller: true }],
    [{ ...owner, controller: false }],
    [{ ...owner, uid: 'u'.repeat(2_000_000) }],
    [{ ...owner, name: 'n'.repeat(254) }],
  ]) {
    record(refused('admit'), requestFor(createPod({}, { ownerReferences })));
  }
  record(refused('admit'), requestFor(null));
  server.injectFault({ status: 403 });
  record(refused('admit'), requestFor(createPod({}, { ownerReferences: [{ ...owner, uid: 'uid-2' }] })));
  await waitUntil('the refused Event', () => counts.length === 4);
  t.same(
    [counts.at(-1), server.events.length],
    ['failed', 2],
    'only for owners of admitted pods; failures are only counted',
  );

  server.injectFault({ delayMs: 60_000 });
  for (let index = 0; index < 150; index += 1) {
    record(refused('admit'), requestFor(createPod({}, { ownerReferences: [{ ...owner, uid: `burst-${index}` }] })));
  }
  t.equal(counts.filter((result) => result === 'dropped').length, 133, 'three before, and 17 of a burst');
});

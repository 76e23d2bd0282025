/** Reviews over real TLS: what is answered to which, and what the server does with what is no review. */
import type { IncomingMessage } from 'node:http';
import * as https from 'node:https';
import { request as httpsRequest } from 'node:https';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { applyOperations, type Outcome, type ServiceAccountLookup } from '../../src/inject/index.js';
import { STANDARD_DEFAULTS } from '../../src/inject/settings.js';
import { createLogger } from '../../src/log.js';
import { INJECTED_LABEL } from '../../src/names.js';
import { epochMs, milliseconds } from '../../src/time.js';
import { type Admit, createAdmission } from '../../src/webhook/admission.js';
import { type AdmissionRequest, encodeOutcome, writeWarning } from '../../src/webhook/admission-review.js';
import { closeServer, listen } from '../../src/webhook/listen.js';
import { createMetrics } from '../../src/webhook/metrics.js';
import { createApp, type WaitingLimits } from '../../src/webhook/server.js';
import type { ServiceAccounts } from '../../src/webhook/service-account-lookup.js';
import { createTurns, type Limits } from '../../src/webhook/turns.js';
import { createPod, createReview, readResponse } from '../support/admission-review.js';
import { waitForEvent, waitUntil } from '../support/wait.js';
import {
  type Answer,
  CLIENT_ID,
  createPki,
  IDENTITY,
  request,
  type RequestOptions,
  TENANT_ID,
} from '../support/webhook-fixture.js';

const pki = await createPki();
const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';
const SMALL = JSON.stringify(createReview(createPod()));
const LARGE = JSON.stringify(createReview(createPod({ note: 'n'.repeat(600_000) })));
/** Longer than any test runs. */
const FOREVER_MS = 600_000;
const ASKS = { 'ado-git.workload.identity/inject': 'enabled' };

interface Setup {
  /** What the cache holds; by default it does not know the service account. */
  readonly cached?: ServiceAccountLookup;
  readonly lookup?: ServiceAccountLookup | (() => Promise<ServiceAccountLookup>);
  readonly admit?: Admit;
  readonly limits?: Partial<Limits>;
  readonly waiting?: Partial<WaitingLimits>;
}

/** A server on a port of its own. */
async function startServer(test: Test, { cached, lookup, admit, limits, waiting = {} }: Setup = {}) {
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
  const reports: [Outcome, AdmissionRequest][] = [];
  const lookedUp: string[] = [];
  const serviceAccounts: ServiceAccounts = {
    findCached: () => cached,
    readLive: (namespace, name) => {
      lookedUp.push(`${namespace}/${name}`);
      if (typeof lookup === 'function') return lookup();
      return Promise.resolve(lookup ?? { state: 'found', annotations: IDENTITY });
    },
  };
  const report = (...seen: [Outcome, AdmissionRequest]): void => void reports.push(seen);
  const defaults = { ...STANDARD_DEFAULTS, image: 'registry.example/ado-git-identity:1' };
  const clock = () => milliseconds(performance.now());
  const turns = createTurns(clock, limits);
  const app = createApp(
    {
      admit: admit ?? createAdmission({ serviceAccounts, defaults, log, report }),
      log,
      metrics,
      clock,
      turns,
      waiting,
    },
    pki.server,
  );
  await app.fastify.ready();
  const port = await listen(app.server, 0, 'PORT');
  test.teardown(() => closeServer(app.server, 0));
  const send = (body: string | Buffer, options: RequestOptions = {}): Promise<Answer> =>
    request(`https://127.0.0.1:${port}/mutate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ca: pki.authority.certificatePem,
      agent: false,
      ...options,
      body,
    });
  const review = async (pod: unknown, change: Record<string, unknown> = {}) => {
    const { status, text } = await send(JSON.stringify(createReview(pod, change)));
    test.equal(status, 200);
    return readResponse(text);
  };
  return {
    app: { ...app, inFlight: () => turns.count },
    port,
    send,
    review,
    reports,
    lookedUp,
    metrics,
    output: () => output,
  };
}

void t.test('pods', async (t) => {
  const { review, reports, lookedUp, output } = await startServer(t);
  const injected = await review(createPod());
  t.match(injected, {
    uid: UID,
    allowed: true,
    auditAnnotations: { outcome: 'injected', 'client-id': CLIENT_ID, 'tenant-id': TENANT_ID },
  });
  t.ok(injected.patch?.every(({ op }) => op === 'add'));
  t.notOk('warnings' in injected);
  t.same(lookedUp, ['apps/builder'], 'in the namespace of the request');

  const skipped = await review(createPod({ 'ado-git.workload.identity/inject': 'disabled' }));
  t.same(skipped, { uid: UID, allowed: true, auditAnnotations: { outcome: 'skipped', reason: 'disabled' } });
  t.equal(lookedUp.length, 1, 'nothing is looked up for it');

  const warned = await review(createPod({ 'ado-git.workload.identity/project': 'x/y' }));
  t.match(warned.warnings, [/^ado-git-identity: .*projects/]);
  t.ok(warned.patch);

  const malformed = await review(createPod({ 'ado-git.workload.identity/startup': 'later' }));
  t.match(malformed, { allowed: false, status: { code: 422, reason: 'Invalid', message: /startup.*later/ } });
  t.notOk('patch' in malformed);
  t.match(malformed.auditAnnotations, { outcome: 'denied', reason: 'invalid-annotation' });

  t.equal(reports.length, 4);
  await review(createPod(), { dryRun: true });
  t.equal(reports.length, 4, 'a dry run is not reported');

  // As `JSON.parse` makes it, with a key that an assignment would take for the prototype.
  const odd = JSON.parse('{"__proto__":{"metadata":{}},"metadata":{"labels":{"__proto__":"x"}},"spec":{}}') as unknown;
  t.match(await review(odd), { allowed: true, auditAnnotations: { outcome: 'skipped' } });
  for (const pod of [{}, { metadata: null, spec: 7 }, { ...createPod(), spec: { containers: 'none' } }]) {
    t.type((await review(pod)).allowed, 'boolean', `survives ${JSON.stringify(pod)}`);
  }
  t.notMatch(output(), /app:1/, 'no pod is logged');
});

void t.test('service accounts that can not be found or read', async (t) => {
  const cases: [string, ServiceAccountLookup, Record<string, string>, object][] = [
    ['missing, not asked', { state: 'missing' }, {}, { allowed: true, warnings: [/builder/] }],
    ['missing, asked', { state: 'missing' }, ASKS, { allowed: false, status: { code: 403, reason: 'Forbidden' } }],
    ['no identity, not asked', { state: 'found', annotations: {} }, {}, { allowed: true, warnings: [/client-id/] }],
    ['no identity, asked', { state: 'found', annotations: {} }, ASKS, { allowed: false, status: { code: 403 } }],
    ...[{}, ASKS].map((annotations): [string, ServiceAccountLookup, Record<string, string>, object] => [
      'unavailable',
      { state: 'unavailable', cause: 'no answer' },
      annotations,
      {
        allowed: false,
        status: { code: 503, reason: 'ServiceUnavailable', message: /no answer/, details: { retryAfterSeconds: 1 } },
        auditAnnotations: { outcome: 'retry', reason: 'service-account-unavailable' },
      },
    ]),
  ];
  for (const [name, lookup, annotations, expected] of cases) {
    const { review } = await startServer(t, { lookup });
    t.match(await review(createPod(annotations)), expected, name);
  }
});

void t.test('a live read follows where the cache has no identity', async (t) => {
  const withClient = { 'azure.workload.identity/client-id': CLIENT_ID };
  const malformed = { 'azure.workload.identity/client-id': 'builder' };
  const startup = { 'ado-git.workload.identity/startup': 'later' };
  const cases: readonly (readonly [string, Record<string, string>, Record<string, string>, number, object])[] = [
    ['an identity', IDENTITY, {}, 0, { auditAnnotations: { outcome: 'injected' } }],
    ['no annotation', {}, {}, 1, { auditAnnotations: { outcome: 'injected' } }],
    ['no tenant', withClient, {}, 1, { auditAnnotations: { outcome: 'injected' } }],
    ['a malformed identity', malformed, {}, 0, { auditAnnotations: { reason: 'invalid-identity' } }],
    ['another refusal', {}, startup, 0, { auditAnnotations: { reason: 'invalid-annotation' } }],
  ];
  for (const [name, annotations, ofPod, reads, expected] of cases) {
    const { review, lookedUp } = await startServer(t, { cached: { state: 'found', annotations } });
    t.match(await review(createPod(ofPod)), expected, name);
    t.equal(lookedUp.length, reads, name);
  }
  const cached = { state: 'found', annotations: {} } as const;
  const still = await startServer(t, { cached, lookup: cached });
  t.match(await still.review(createPod()), { auditAnnotations: { reason: 'no-client-id' } }, 'still without identity');
  t.equal(still.lookedUp.length, 1, 'read once');
  const late = await startServer(t, { cached, lookup: { state: 'unavailable', cause: 'late' } });
  t.match(await late.review(createPod()), { auditAnnotations: { reason: 'service-account-unavailable' } });
});

void t.test('reviews of something else', async (t) => {
  const { review, send } = await startServer(t);
  const others: [Record<string, unknown>, RegExp][] = [
    [{ kind: { group: 'apps', version: 'v1', kind: 'Deployment' } }, /"CREATE" of kind apps\/"v1" "Deployment"/],
    [{ kind: { group: 'apps', version: 'v1', kind: 'Pod' } }, /only the CREATE of a v1 Pod/],
    [{ operation: 'UPDATE' }, /"UPDATE"/],
    [{ operation: 'DELETE', object: null }, /"DELETE"/],
    [{ subResource: 'ephemeralcontainers' }, /"ephemeralcontainers"/],
    [{ kind: null }, /nothing/],
  ];
  for (const [change, expected] of others) {
    const response = await review(createPod(), change);
    t.match(response, { uid: UID, allowed: true, warnings: [expected] }, JSON.stringify(change));
    t.notOk('patch' in response);
  }
  for (const change of [{ object: null }, { object: undefined }, { object: [] }, { namespace: '' }]) {
    const expected = { uid: UID, allowed: false, status: { code: 400, message: /no request\.(object|namespace)/ } };
    t.match(await review(createPod(), change), expected, JSON.stringify(change));
  }

  const whole = JSON.stringify(createReview(createPod()));
  const unreadable: [string, string, RegExp][] = [
    ['nothing', '', /is not JSON/],
    ['truncated', whole.slice(0, -20), /is not JSON.*cut short/],
    ['not JSON', 'kind: AdmissionReview', /is not JSON/],
    ['null', 'null', /not an object/],
    ['a list', '[]', /not an object/],
    [
      'v1beta1',
      whole.replace('admission.k8s.io/v1', 'admission.k8s.io/v1beta1'),
      /"admission.k8s.io\/v1beta1".*admissionReviewVersions/,
    ],
    ['a bare pod', JSON.stringify(createPod()), /"Pod" of "v1"/],
    ['no request', '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', /no request/],
    ['no uid', JSON.stringify(createReview(createPod(), { uid: '' })), /no request\.uid/],
  ];
  for (const [name, body, message] of unreadable) {
    const { status, text } = await send(body);
    t.equal(status, 400, name);
    t.match(JSON.parse(text), { kind: 'Status', status: 'Failure', code: 400, reason: 'BadRequest', message }, name);
  }
});

void t.test('requests that are not a review', async (t) => {
  const { send, port, review, metrics, app } = await startServer(t);
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const cases: [string, string | Buffer, RequestOptions, number, RegExp][] = [
    [
      'another content type',
      '{}',
      { headers: { 'content-type': 'text/plain' } },
      415,
      /"text\/plain"; application\/json/,
    ],
    ['no content type', '{}', { headers: {} }, 415, /application\/json is expected/],
    ['8 MiB', Buffer.alloc(8 * 1024 * 1024, 'x'), {}, 413, /more than 4194304 bytes/],
    ['GET', '', { method: 'GET' }, 404, /GET \/mutate is not answered; there is POST \/mutate/],
    ['another path', '{}', { path: '/elsewhere' }, 404, /POST \/elsewhere/],
  ];
  for (const [name, body, options, expected, message] of cases) {
    const { status, text } = await send(body, { agent, ...options });
    t.equal(status, expected, name);
    t.match(JSON.parse(text), { kind: 'Status', code: expected, message }, name);
    t.notMatch(text, /\.js|node:/, `${name}: no stack trace`);
  }
  const chunked = await send(Buffer.alloc(8 * 1024 * 1024, 'x'), {
    headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
  });
  t.equal(chunked.status, 411, '8 MiB without a length');

  const large = createPod({ note: 'x'.repeat(3.9 * 1024 * 1024) });
  t.ok((await review(large)).patch, 'almost 4 MiB is served');
  const garbage = connectTls({ port, host: '127.0.0.1', ca: pki.authority.certificatePem });
  garbage.write('garbage\r\n\r\n');
  const [answer] = (await waitForEvent('the first data', garbage, 'data')) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1\.1 400/);
  garbage.destroy();
  t.equal(app.inFlight(), 0, 'every place is given back');
  t.match(await metrics.registry.metrics(), /admissions_total\{outcome="refused",reason=""\} 6/);
});

void t.test('the API server drops an idle connection, after 90 s, before the webhook does', async (t) => {
  const { app, send } = await startServer(t);
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const { headers } = await send(SMALL, { agent });
  const [, seconds] = /^timeout=(\d+)$/.exec(String(headers['keep-alive'])) ?? [];
  t.ok(Number(seconds) > 90, 'after a request');
  t.ok(Math.min(app.server.headersTimeout, app.server.requestTimeout) > 90_000, 'before the first request');
});

/** A lookup that does not end until it is released. */
function createHeldLookup() {
  let release = (): void => undefined;
  const held = new Promise<ServiceAccountLookup>(
    (resolve) => (release = () => resolve({ state: 'found', annotations: IDENTITY })),
  );
  return { lookup: () => held, release: () => release() };
}

void t.test('too many admissions at once: one more is turned away, to be tried again', async (t) => {
  const { lookup, release } = createHeldLookup();
  const { send, app, output } = await startServer(t, { lookup, limits: { admissions: 2 } });
  const first = [send(SMALL), send(SMALL)];
  await waitUntil('both are under way', () => app.inFlight() === 2);
  const refused = await send(SMALL);
  t.equal(refused.status, 503);
  t.equal(refused.headers['retry-after'], '1');
  t.match(JSON.parse(refused.text), { kind: 'Status', reason: 'ServiceUnavailable', message: /try again/ });
  release();
  for (const answer of await Promise.all(first)) t.ok(readResponse(answer.text).patch, 'those before it are served');
  t.ok(readResponse((await send(SMALL)).text).patch, 'and so are those after it');
  t.match(output(), /"outcome":"overloaded"/);
});

void t.test('one pod is always taken, however large', async (t) => {
  const { send } = await startServer(t, { limits: { bytes: 10 } });
  t.ok(readResponse((await send(SMALL)).text).patch);
});

void t.test('too many large pods at once: one more is turned away when its turn does not come', async (t) => {
  const { lookup, release } = createHeldLookup();
  const { send, app } = await startServer(t, { lookup, limits: { waitMs: 100 } });
  const taken = [send(LARGE), send(LARGE)];
  await waitUntil('both are under way', () => app.inFlight() === 2);
  const refused = await send(LARGE);
  t.equal(refused.status, 503);
  t.match(JSON.parse(refused.text), { message: 'too many large pods are being answered; try again in a second' });
  t.equal(app.inFlight(), 2);
  release();
  for (const answer of await Promise.all(taken)) t.ok(readResponse(answer.text).patch);
});

void t.test('large pods, which block the event loop, take turns', async (t) => {
  const { lookup, release } = createHeldLookup();
  const { send, app } = await startServer(t, { lookup, limits: { waitMs: FOREVER_MS } });
  const taken = [send(LARGE), send(LARGE), send(LARGE), send(SMALL)];
  await waitUntil('all are under way or wait', () => app.inFlight() === 4);
  release();
  for (const answer of await Promise.all(taken)) t.ok(readResponse(answer.text).patch);
  await waitUntil('all are answered', () => app.inFlight() === 0);
  const burst = await Promise.all(Array.from({ length: 10 }, () => send(LARGE)));
  t.strictSame([...new Set(burst.map(({ status }) => status))], [200], 'a burst is served');
});

void t.test('the duration is from the head of the request to the end of the answer', async (t) => {
  const { port, app, metrics } = await startServer(t);
  const body = JSON.stringify(createReview(createPod()));
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const ca = pki.authority.certificatePem;
  const startMs = performance.now();
  const slow = httpsRequest({ host: '127.0.0.1', port, path: '/mutate', method: 'POST', headers, ca, agent: false });
  slow.write(body.slice(0, 10));
  await waitForEvent('the request', app.server, 'request');
  const seenMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const delayMs = performance.now() - seenMs;
  slow.end(body.slice(10));
  const [response] = (await waitForEvent('the response', slow, 'response')) as [IncomingMessage];
  response.resume();
  await waitForEvent('the end of the response', response, 'end');
  await waitUntil('the request is over', () => app.inFlight() === 0);
  const wholeMs = performance.now() - startMs;
  const text = await metrics.registry.metrics();
  const sumMs = 1000 * Number(/^ado_git_identity_admission_duration_seconds_sum (\S+)$/m.exec(text)?.[1]);
  t.match(text, /^ado_git_identity_admission_duration_seconds_count 1$/m);
  t.ok(sumMs >= delayMs, `${sumMs} ms hold the ${delayMs} ms for which the body was awaited`);
  t.ok(sumMs <= wholeMs, 'and no more than the whole request took');
});

void t.test('a defect is answered, logged and counted', async (t) => {
  const { send, output, metrics } = await startServer(t, {
    lookup: () => Promise.reject(new TypeError('x is undefined')),
  });
  const { status, text } = await send(JSON.stringify(createReview(createPod())));
  t.equal(status, 500);
  t.match(JSON.parse(text), {
    kind: 'Status',
    code: 500,
    message: /a defect of ado-git-identity; the webhook's log says more$/,
  });
  t.match(output(), /"level":"error","message":"a defect: .*x is undefined/);
  t.match(await metrics.registry.metrics(), /admissions_total\{outcome="failed",reason=""\} 1/);
});

void t.test('warnings are printable, and cut at 256 characters between words', (t) => {
  const long = writeWarning(`line\nbreak ${'word '.repeat(80)}`);
  t.match(long, /^ado-git-identity: line break word .* word…$/);
  t.ok(Array.from(long).length <= 256 && Array.from(long).length > 245);
  t.equal(Array.from(writeWarning('\u{1f600}'.repeat(300))).length, 256, 'characters are not cut in two');
  t.equal(writeWarning('tab\there'), 'ado-git-identity: tab here');
  t.end();
});

void t.test('a pod counts as injected once, whatever later passes do', async (t) => {
  const { review, metrics, output } = await startServer(t);
  const pod = createPod();
  const count = async (outcome: string, reason = ''): Promise<number> => {
    const line = `ado_git_identity_admissions_total{outcome="${outcome}",reason="${reason}"} `;
    const text = await metrics.registry.metrics();
    return Number(
      text
        .split('\n')
        .find((one) => one.startsWith(line))
        ?.slice(line.length),
    );
  };
  const counts = () => Promise.all(['injected', 'updated', 'unchanged'].map((outcome) => count(outcome)));
  t.same(await counts(), [0, 0, 0]);

  const first = await review(pod);
  t.same(await counts(), [1, 0, 0]);
  const injected = applyOperations(pod, first.patch ?? []) as { metadata: { labels: object } };
  t.match(await review(injected), { patch: undefined, auditAnnotations: { outcome: 'unchanged' } });
  t.same(await counts(), [1, 0, 1]);
  const changed = structuredClone(injected);
  Reflect.deleteProperty(changed.metadata.labels, INJECTED_LABEL);
  t.match(await review(changed), { patch: Array, auditAnnotations: { outcome: 'updated' } });
  t.same(await counts(), [1, 1, 1]);
  t.match(output(), /"outcome":"updated"/);

  const windows = { ...pod, spec: { os: { name: 'windows' }, containers: [{ name: 'app' }] } };
  t.match(await review(windows), { allowed: true, auditAnnotations: { outcome: 'not_injected', reason: 'windows' } });
  t.equal(await count('not_injected', 'windows'), 1);
  t.match(output(), /"outcome":"not_injected"/);
});

void t.test('an earlier pass that did it all is answered without a patch', (t) => {
  const status = { version: '1', mode: 'helper', containers: ['app'], clientId: CLIENT_ID, tenantId: TENANT_ID };
  const response = encodeOutcome(UID, { kind: 'injected', isLaterPass: true, patch: [], warnings: [], status });
  t.same(Object.keys(response), ['uid', 'allowed', 'auditAnnotations']);
  t.match(response.auditAnnotations, { outcome: 'unchanged' });
  t.end();
});

/** What becomes of the warnings about an injected pod: an Event, a line of the log and a count for each code. */
import t from 'tap';
import { WARNING_CODES } from '../../src/inject/index.js';
import { STANDARD_DEFAULTS } from '../../src/inject/settings.js';
import { createLogger, type LogFields } from '../../src/log.js';
import { epochMs, HOUR_MS, milliseconds } from '../../src/time.js';
import { createAdmission } from '../../src/webhook/admission.js';
import { createEventRecorder } from '../../src/webhook/events.js';
import { createMetrics } from '../../src/webhook/metrics.js';
import { shortenRepeats } from '../../src/webhook/repeats.js';
import { createServiceAccountCache } from '../../src/webhook/service-account-cache.js';
import { createPod, createReview, readResponse, type ReviewResponse } from '../support/admission-review.js';
import { waitUntil } from '../support/wait.js';
import { IDENTITY } from '../support/webhook-fixture.js';

const GROUP = 'ado-git.workload.identity';
const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'app-7d9', uid: 'uid-1', controller: true };
/** Two of one code, and one of another. */
const WARNED = { [`${GROUP}/foo`]: 'x', [`${GROUP}/project`]: 'a/b', [`${GROUP}/git-config`]: 'file' };

type Line = LogFields & { readonly level: string; readonly message: string };

/** Admission with all that hangs off an outcome, before an API server that takes every Event. */
function start() {
  const clock = () => milliseconds(0);
  const now = () => epochMs(0);
  const lines: Line[] = [];
  const log = createLogger('info', (line) => lines.push(JSON.parse(line) as Line), now);
  const cache = createServiceAccountCache();
  cache.set({ namespace: 'apps', name: 'builder', annotations: IDENTITY });
  const events: { readonly reason: string; readonly message: string }[] = [];
  const api = {
    post: (_path: string, event: unknown) => {
      events.push(event as (typeof events)[number]);
      return Promise.resolve({ status: 201, body: {} });
    },
  };
  const metrics = createMetrics({ now, countServiceAccounts: () => 1, countInFlight: () => 0, isReady: () => true });
  const record = createEventRecorder({ api, cache, log, now, clock, count: metrics.countEvent });
  const admit = createAdmission({
    serviceAccounts: {
      findCached: () => ({ state: 'found', annotations: IDENTITY }),
      readLive: () => Promise.resolve('over-budget'),
    },
    defaults: { ...STANDARD_DEFAULTS, image: 'registry.example/ado-git-identity:1' },
    log,
    report: (outcome, request) => {
      metrics.countWarnings(outcome);
      record(outcome, request);
    },
  });
  return {
    lines,
    events,
    countWarnings: async () => {
      const text = await metrics.registry.metrics();
      const counts = text.matchAll(/^ado_git_identity_warnings_total\{code="([^"]+)"\} (\d+)$/gm);
      return Object.fromEntries([...counts].map(([, code = '', count]) => [code, Number(count)]));
    },
    review: async (pod: unknown, change: Record<string, unknown> = {}): Promise<ReviewResponse> => {
      const bytes = Buffer.from(JSON.stringify(createReview(pod, change)));
      return readResponse((await admit(bytes, (work) => Promise.resolve(work()))).body);
    },
  };
}

void t.test('each code has an Event on the owner, a line of the log, and a count', async (t) => {
  const { review, events, lines, countWarnings } = start();
  t.strictSame(await countWarnings(), Object.fromEntries(WARNING_CODES.map((code) => [code, 0])), 'all begin at 0');

  const pod = createPod(WARNED, { ownerReferences: [OWNER] });
  const { patch, warnings } = await review(pod);
  t.ok(patch);
  t.equal(warnings?.length, 3);
  await waitUntil('the Events', () => events.length === 2);
  t.match(events, [
    {
      type: 'Warning',
      reason: 'UnknownAnnotation',
      message: `unknown-annotation: pod apps/app-*: annotation ${GROUP}/foo is not known; pod apps/app-*: annotation ${GROUP}/project is not known; did you mean ${GROUP}/projects?`,
      involvedObject: { kind: 'ReplicaSet', name: 'app-7d9', uid: 'uid-1' },
    },
    { reason: 'SystemFileHidden', message: /^system-file-hidden: pod apps\/app-\*: container app: / },
  ]);
  t.match(lines, [
    { level: 'info', outcome: 'injected', warning: 'unknown-annotation', message: /foo is not known; .*projects\?$/ },
    { level: 'info', outcome: 'injected', warning: 'system-file-hidden' },
  ]);
  t.match(await countWarnings(), { 'unknown-annotation': 1, 'system-file-hidden': 1, 'processes-shared': 0 });

  await review(pod);
  t.match(await countWarnings(), { 'unknown-annotation': 2 });
  t.equal(events.length, 2, 'one an hour for each owner and code');
});

void t.test('a dry run leaves neither Event nor count', async (t) => {
  const { review, events, countWarnings } = start();
  t.ok((await review(createPod(WARNED, { ownerReferences: [OWNER] }), { dryRun: true })).warnings);
  t.strictSame([events.length, (await countWarnings())['unknown-annotation']], [0, 0]);
});

function startRepeats() {
  let now = milliseconds(0);
  const lines: Line[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Line);
  const log = createLogger('info', write, () => epochMs(0));
  return {
    lines,
    wait: (ms: number) => (now = milliseconds(now + ms)),
    log: shortenRepeats(log, () => now),
  };
}

void t.test('a long message is logged in full once an hour, and shortened with a count in between', (t) => {
  const { log, lines, wait } = startRepeats();
  const long = `pod apps/app-*: ${'a sentence with many words '.repeat(25)}end`;
  for (let times = 0; times < 3; times += 1) log.info(long, { uid: `u${times}` });
  log.warn(`${long} of another`, { uid: 'other' });
  wait(HOUR_MS - 1);
  log.info(long, { uid: 'late' });
  wait(1);
  log.info(long, { uid: 'next hour' });
  t.match(
    lines.map(({ message, uid, repeated }) => [message, uid, repeated]),
    [
      [long, 'u0', undefined],
      [/^pod apps\/app-\*: a sentence .{40,85} …$/, 'u1', 1],
      [/^pod apps\/app-\*: .{40,85} …$/, 'u2', 2],
      [`${long} of another`, 'other', undefined],
      [/ …$/, 'late', 3],
      [long, 'next hour', undefined],
    ],
  );
  t.equal(lines[3]?.level, 'warn');
  t.end();
});

void t.test('short messages stay as they are, and not every message is remembered', (t) => {
  const { log, lines } = startRepeats();
  for (let times = 0; times < 2; times += 1) log.info('pod injected');
  t.strictSame(
    lines.splice(0).map(({ message, repeated }) => [message, repeated]),
    [
      ['pod injected', undefined],
      ['pod injected', undefined],
    ],
  );
  const write = (index: number): void => log.info(`${index} ${'x'.repeat(300)}`);
  for (let index = 0; index < 1001; index += 1) write(index);
  write(0);
  write(1000);
  t.equal(lines.at(-2)?.['repeated'], undefined, 'the oldest was forgotten');
  t.equal(lines.at(-1)?.['repeated'], 1);
  t.end();
});

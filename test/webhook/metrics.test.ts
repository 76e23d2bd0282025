/** Each series of the webhook: what it starts with, and what changes it. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LASTING_REASONS } from '../../src/inject/index.js';
import type { KubernetesApi } from '../../src/kubernetes/client.js';
import { createLogger } from '../../src/log.js';
import { addMs, epochMs } from '../../src/time.js';
import { createMetrics, type Metrics } from '../../src/webhook/metrics.js';
import { openCertificates } from '../../src/webhook/tls.js';
import { createClusterObjects, NAMESPACE } from '../certificates/cluster-objects.js';
import { waitUntil } from '../support/wait.js';

const NOW = epochMs(Date.UTC(2030, 0, 1));
const NOW_SECONDS = NOW / 1000;

interface State {
  serviceAccounts: number;
  inFlight: number;
  ready: boolean;
}

function createUnmanaged() {
  const state: State = { serviceAccounts: 0, inFlight: 0, ready: false };
  const metrics = createMetrics({
    now: () => NOW,
    countServiceAccounts: () => state.serviceAccounts,
    countInFlight: () => state.inFlight,
    isReady: () => state.ready,
  });
  return { state, metrics };
}

function create() {
  const { state, metrics } = createUnmanaged();
  return { state, metrics, managed: metrics.observeManagedCertificates() };
}

type Created = ReturnType<typeof create>;

/** The values by series, without the product's prefix. */
async function scrape({ registry }: Pick<Metrics, 'registry'>): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [, series = '', value] = /^ado_git_identity_(\S+) (\S+)$/.exec(line) ?? [];
      return [series, Number(value)];
    }),
  );
}

void t.test('every series of a counter is there from the start, at 0', async (t) => {
  const { metrics } = create();
  const series = await scrape(metrics);
  const counters = metrics.registry.getMetricsAsArray().filter(({ name }) => name.endsWith('_total'));
  t.ok(counters.length > 6, 'the counters are found');
  for (const { name } of counters) {
    const own = [...series].filter(([key]) => `ado_git_identity_${key}`.startsWith(`${name}{`));
    t.ok(own.length > 1, `${name} has its series`);
    t.ok(
      own.every(([, value]) => value === 0),
      `${name} starts at 0`,
    );
  }
  for (const reason of LASTING_REASONS) {
    for (const outcome of ['not_injected', 'denied']) {
      t.equal(series.get(`admissions_total{outcome="${outcome}",reason="${reason}"}`), 0);
    }
  }
  for (const [outcome, reason] of [
    ['injected', ''],
    ['updated', ''],
    ['unchanged', ''],
    ['skipped', 'disabled'],
    ['denied', 'invalid-annotation'],
    ['retry', 'service-account-unavailable'],
    ['overloaded', ''],
  ]) {
    t.equal(series.get(`admissions_total{outcome="${outcome}",reason="${reason}"}`), 0, `${outcome} ${reason}`);
  }
  const impossible = [...series.keys()].filter((key) =>
    /"injected",reason="."|"retry",reason="no-|"not_injected",reason="(?:|invalid-annotation)"|"skipped",reason="namespace-/.test(
      key,
    ),
  );
  t.strictSame(impossible, [], 'combinations that can not occur have no series');
  t.ok(series.size < 100, `${series.size} series are few`);
});

/** What happens, and the series that it sets to the value. */
const CHANGES: readonly (readonly [(created: Created) => void, series: string, value: number])[] = [
  [
    ({ metrics }) =>
      metrics.countWarnings({
        kind: 'injected',
        isLaterPass: false,
        patch: [{ op: 'remove', path: '/x' }],
        warnings: [{ code: 'unknown-container', subject: 'pod', message: '' }],
        status: { version: '', mode: 'helper', containers: [], clientId: '', tenantId: '' },
      }),
    'warnings_total{code="unknown-container"}',
    1,
  ],
  [({ state }) => (state.ready = true), 'ready', 1],
  [({ metrics }) => metrics.countEvent('sent'), 'events_total{outcome="sent"}', 1],
  [
    ({ metrics }) => metrics.countAdmission('not_injected', 'no-client-id'),
    'admissions_total{outcome="not_injected",reason="no-client-id"}',
    1,
  ],
  [({ metrics }) => metrics.observeDuration(20), 'admission_duration_seconds_bucket{le="0.025"}', 1],
  [({ state }) => (state.inFlight = 3), 'admissions_in_flight', 3],
  [({ state }) => (state.serviceAccounts = 7), 'service_accounts', 7],
  [({ metrics }) => metrics.reflector.synced(), 'service_accounts_synced', 1],
  [({ metrics }) => metrics.reflector.heard(), 'service_accounts_last_event_timestamp_seconds', NOW_SECONDS],
  [({ metrics }) => metrics.reflector.restarted('expired'), 'service_account_watch_restarts_total{cause="expired"}', 1],
  [({ metrics }) => metrics.countLiveRead('unavailable'), 'service_account_live_reads_total{outcome="unavailable"}', 1],
  [
    ({ metrics }) => metrics.setValidity(NOW, addMs(NOW, 60_000)),
    'certificate_not_before_timestamp_seconds',
    NOW_SECONDS,
  ],
  [
    ({ metrics }) => metrics.setValidity(NOW, addMs(NOW, 60_000)),
    'certificate_not_after_timestamp_seconds',
    NOW_SECONDS + 60,
  ],
  [({ metrics }) => metrics.countCertificateReload('refused'), 'certificate_reloads_total{outcome="refused"}', 1],
  [({ managed }) => managed.reconciled({ authorityEnd: undefined, isBundleValid: true }), 'ca_bundle_valid', 1],
  [
    ({ managed }) => managed.reconciled({ authorityEnd: NOW, isBundleValid: false }),
    'authority_not_after_timestamp_seconds',
    NOW_SECONDS,
  ],
  [({ managed }) => managed.rotated('ca'), 'rotations_total{kind="ca"}', 1],
  [({ managed }) => managed.repaired('secret'), 'repairs_total{object="secret"}', 1],
];

void t.test('every metric changes by what it tells of', async (t) => {
  const names = create().metrics.registry.getMetricsAsArray();
  const unchanged = names
    .map(({ name }) => name.replace('ado_git_identity_', ''))
    .filter((name) => !CHANGES.some(([, series]) => series.replace(/(_bucket)?\{.*/, '') === name));
  t.strictSame(unchanged, [], 'each metric has a case');
  for (const [change, series, value] of CHANGES) {
    const created = create();
    t.equal((await scrape(created.metrics)).get(series), 0, `${series} is 0 at first`);
    change(created);
    t.equal((await scrape(created.metrics)).get(series), value, series);
  }
});

void t.test('the certificates that the webhook manages are seen', async (t) => {
  const { metrics } = createUnmanaged();
  let now = NOW;
  const objects = createClusterObjects(() => now);
  const certificates = await openCertificates({
    tls: {
      mode: 'managed',
      namespace: NAMESPACE,
      podName: 'webhook-1',
      rotation: { caDays: 1825, leafDays: 90, overlapSeconds: 5 },
    },
    // Managed certificates need no other requests.
    api: objects.api as KubernetesApi,
    log: createLogger(
      'error',
      () => undefined,
      () => now,
    ),
    metrics,
    now: () => now,
    sleep: (spanMs) => sleep(Math.min(spanMs, 20)),
  });
  t.teardown(() => certificates.close());
  const waitFor = async (series: string, isReached: (value: number) => boolean): Promise<void> => {
    await waitUntil(series, async () => {
      now = addMs(now, 10_000);
      return isReached((await scrape(metrics)).get(series) ?? Number.NaN);
    });
  };
  await waitFor('ca_bundle_valid', (value) => value === 1);
  await waitFor('authority_not_after_timestamp_seconds', (value) => value > NOW_SECONDS);
  await waitUntil('readiness', async () => {
    now = addMs(now, 10_000);
    return (await certificates.readCaBundle()) !== undefined;
  });
  objects.setBundle('nonsense');
  await waitFor('repairs_total{object="ca-bundle"}', (value) => value === 1);
  objects.damage((data) => void (data['tls.crt'] = 'AAAA'));
  await waitFor('repairs_total{object="secret"}', (value) => value === 1);
  objects.rotate('leaf');
  await waitFor('rotations_total{kind="leaf"}', (value) => value === 1);
  t.equal((await scrape(metrics)).get('rotations_total{kind="ca"}'), 0, 'the authority is the same');
});

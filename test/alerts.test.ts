/** The chart's alerts, run by promtool on series as they really are: each fires at the first event, and clears again. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { formatMetrics } from '../src/sidecar/metrics.js';
import { addMs, type EpochMs, epochMs } from '../src/time.js';
import { createMetrics } from '../src/webhook/metrics.js';
import { at, CHART, find, options as helmOptions, render } from './support/chart.js';

const isMissing = spawnSync('promtool', ['--version']).error !== undefined;
if (isMissing && process.env.CI === 'true') throw new Error('promtool is needed with CI=true');
const options = isMissing ? { skip: 'promtool is not installed' } : helmOptions;

/** promtool's clock starts there. */
const START = epochMs(0);
const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const WEEK_AND_HOUR = 7 * DAY_MINUTES + 60;
const YEARS = inMinutes(1825 * DAY_MINUTES);
const HOOK = 'name="inject.ado-git.workload.identity",operation="CREATE",type="admit"';

function inMinutes(minutes: number): EpochMs {
  return addMs(START, minutes * MINUTE_MS);
}

/** A series with one sample a minute, in promtool's notation. */
interface Series {
  readonly series: string;
  readonly values: string;
}

/** What a program exposes for so many minutes, in text form. */
type Phase = readonly [exposition: string, minutes: number];

/** The series of one target over all phases. In a phase that does not have it, a series has no sample. */
function record(target: string, phases: readonly Phase[]): Series[] {
  const scrapes = phases.map(([exposition, minutes]) => ({ minutes, values: readExposition(exposition, target) }));
  const names = new Set(scrapes.flatMap(({ values }) => [...values.keys()]));
  return [...names].map((series) => ({
    series,
    values: scrapes
      .map(({ minutes, values }) => {
        const value = values.get(series);
        return value === undefined ? `_x${minutes}` : `${value}+0x${minutes - 1}`;
      })
      .join(' '),
  }));
}

function readExposition(exposition: string, target: string): Map<string, string> {
  const samples = exposition.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => {
      const [, name = '', labels = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      return [`${name}{${labels === '' ? target : `${labels},${target}`}}`, value];
    }),
  );
}

function createWebhook(authorityEnd: EpochMs | undefined) {
  let isReady = true;
  const metrics = createMetrics({
    now: () => START,
    countServiceAccounts: () => 1,
    countInFlight: () => 0,
    isReady: () => isReady,
  });
  const managed = metrics.observeManagedCertificates();
  metrics.reflector.synced();
  metrics.setValidity(START, inMinutes(90 * DAY_MINUTES));
  managed.reconciled({ authorityEnd, isBundleValid: true });
  return { ...metrics, managed, setReady: (value: boolean) => (isReady = value) };
}

type Webhook = ReturnType<typeof createWebhook>;

/** A replica's series: as they are at the start, and after each event. */
async function recordWebhook(first: number, ...events: [(webhook: Webhook) => void, number][]): Promise<Series[]> {
  const webhook = createWebhook(YEARS);
  const phases: Phase[] = [[await webhook.registry.metrics(), first]];
  for (const [happen, minutes] of events) {
    happen(webhook);
    phases.push([await webhook.registry.metrics(), minutes]);
  }
  return record('instance="10.0.0.1:8080"', phases);
}

/** @param phases whether there is a token, until which minute it is valid, and for how many minutes that is so. */
function recordSidecar(...phases: [isReady: boolean, expiresAt: number | undefined, minutes: number][]): Series[] {
  return record(
    'namespace="shop",pod="app-1"',
    phases.map(([isReady, expiresAt, minutes]) => [
      formatMetrics({
        describe: () => ({
          expiresAt: expiresAt === undefined ? undefined : inMinutes(expiresAt),
          lastExchangeAt: undefined,
        }),
        countExchanges: () => ({ successes: 0, failures: new Map() }),
        isReady: () => isReady,
      }),
      minutes,
    ]),
  );
}

/** The API server is scraped all the time; the series of its counter appears with the first event, at 1. */
function recordApiServer(counter: string, labels: string): Series[] {
  const target = 'job="apiserver",instance="10.0.0.2:6443"';
  return [
    { series: `up{${target}}`, values: '1+0x100' },
    { series: `${counter}{${labels},${target}}`, values: '_x20 1+0x39 2+0x40' },
  ];
}

type Labels = Readonly<Record<string, string>>;
interface Case {
  readonly name: string;
  readonly series: readonly Series[];
  /** For some minutes, the labels of the alert if it fires. */
  readonly expected: readonly (readonly [minute: number, fires: Labels | undefined])[];
}

const repeat = (minutes: number, happen: (webhook: Webhook) => void): [(webhook: Webhook) => void, number][] =>
  Array.from({ length: minutes }, () => [happen, 1]);

const CASES: Readonly<Record<string, () => Promise<Case[]>>> = {
  AdoGitIdentityNoReplicaReady: async () => [
    {
      name: 'the only replica is not ready for a while',
      series: await recordWebhook(10, [(webhook) => webhook.setReady(false), 10], [(one) => one.setReady(true), 10]),
      expected: [
        [9, undefined],
        [16, {}],
        [21, undefined],
      ],
    },
    { name: 'nothing is scraped', series: [], expected: [[6, {}]] },
  ],
  AdoGitIdentityCaBundleInvalid: async () => [
    {
      name: 'the caBundle is overwritten and restored',
      series: await recordWebhook(
        10,
        [({ managed }) => managed.reconciled({ authorityEnd: undefined, isBundleValid: false }), 10],
        [({ managed }) => managed.reconciled({ authorityEnd: undefined, isBundleValid: true }), 10],
      ),
      expected: [
        [9, undefined],
        [13, {}],
        [21, undefined],
      ],
    },
  ],
  AdoGitIdentityCertificateExpires: async () => [
    {
      name: 'a certificate of 90 days is renewed in the last week only',
      series: await recordWebhook(
        1,
        [({ setValidity }) => setValidity(inMinutes(-83 * DAY_MINUTES), inMinutes(WEEK_AND_HOUR)), 99],
        [({ setValidity }) => setValidity(inMinutes(0), inMinutes(90 * DAY_MINUTES)), 30],
      ),
      expected: [
        [65, undefined],
        [75, {}],
        [101, undefined],
      ],
    },
    {
      name: 'a certificate of five hours is renewed in the last hour only',
      series: await recordWebhook(
        1,
        [({ setValidity }) => setValidity(inMinutes(0), inMinutes(300)), 279],
        [({ setValidity }) => setValidity(inMinutes(280), inMinutes(580)), 30],
      ),
      expected: [
        [245, undefined],
        [255, {}],
        [281, undefined],
      ],
    },
  ],
  AdoGitIdentityAuthorityExpires: async () => [
    {
      name: 'an authority is replaced in its last week only',
      series: await recordWebhook(
        1,
        [({ managed }) => managed.reconciled({ authorityEnd: inMinutes(WEEK_AND_HOUR), isBundleValid: true }), 99],
        [({ managed }) => managed.reconciled({ authorityEnd: YEARS, isBundleValid: true }), 30],
      ),
      expected: [
        [65, undefined],
        [75, {}],
        [101, undefined],
      ],
    },
    {
      name: 'there is no authority yet',
      series: record('instance="10.0.0.1:8080"', [[await createWebhook(undefined).registry.metrics(), 60]]),
      expected: [[50, undefined]],
    },
  ],
  AdoGitIdentityWatchStale: async () => [
    {
      name: 'nothing comes for 40 minutes',
      series: [
        ...(await recordWebhook(60)).filter(({ series }) => !series.includes('last_event')),
        {
          series: 'ado_git_identity_service_accounts_last_event_timestamp_seconds{instance="10.0.0.1:8080"}',
          values: '0+60x10 600+0x39 3060+60x20',
        },
      ],
      expected: [
        [20, undefined],
        [32, {}],
        [52, undefined],
      ],
    },
  ],
  AdoGitIdentityPodsDeferred: () =>
    rateCase((webhook) => webhook.countAdmission('retry', 'service-account-unavailable')),
  AdoGitIdentityOverloaded: () => rateCase((webhook) => webhook.countAdmission('overloaded', '')),
  AdoGitIdentityDefect: () => firstEventCase((webhook) => webhook.countAdmission('failed', ''), {}),
  AdoGitIdentityPodsNotInjected: async () => [
    ...(await firstEventCase((webhook) => webhook.countAdmission('not_injected', 'no-client-id'), {
      reason: 'no-client-id',
    })),
    ...(await firstEventCase((webhook) => webhook.countAdmission('denied', 'invalid-annotation'), {
      reason: 'invalid-annotation',
    })),
  ],
  AdoGitIdentityEventsFail: async () => [
    ...(await firstEventCase(({ countEvent }) => countEvent('failed'), { outcome: 'failed' })),
    ...(await firstEventCase(({ countEvent }) => countEvent('dropped'), { outcome: 'dropped' })),
  ],
  AdoGitIdentityWebhookNotReached: () => {
    const labels = (type: string): string => `${HOOK},error_type="${type}",rejection_code="0"`;
    const counter = 'apiserver_admission_webhook_rejection_count';
    const expected = apiServerExpectations({ error_type: 'calling_webhook_error' });
    return Promise.resolve([
      { name: 'calls fail', series: recordApiServer(counter, labels('calling_webhook_error')), expected },
      {
        name: 'the webhook itself denies',
        series: recordApiServer(counter, labels('no_error')),
        expected: [[21, undefined]],
      },
      {
        name: "another product's webhook can't be called",
        series: recordApiServer(counter, labels('calling_webhook_error').replace('inject.ado-git', 'other')),
        expected: [[21, undefined]],
      },
      {
        name: 'Prometheus begins to scrape an API server with errors of long ago',
        series: recordApiServer(counter, labels('calling_webhook_error')).map(({ series }) => ({
          series,
          values: '_x20 1+0x60',
        })),
        expected: [[21, undefined]],
      },
    ]);
  },
  AdoGitIdentityFailedOpen: () =>
    Promise.resolve([
      {
        name: 'calls fail with failurePolicy Ignore',
        series: recordApiServer('apiserver_admission_webhook_fail_open_count', HOOK),
        expected: apiServerExpectations({}),
      },
    ]),
  AdoGitIdentityPodWithoutToken: () => {
    const fires = { namespace: 'shop', pod: 'app-1' };
    return Promise.resolve([
      {
        name: 'the first token comes late',
        series: recordSidecar([false, undefined, 10], [true, 70, 10]),
        expected: [
          [4, undefined],
          [6, fires],
          [11, undefined],
        ],
      },
      {
        name: 'a sidecar whose clock is behind serves an expired token',
        series: recordSidecar([true, 10, 20], [true, 70, 10]),
        expected: [
          [10, undefined],
          [17, fires],
          [21, undefined],
        ],
      },
    ]);
  },
};

/** Something happens each minute, for twenty minutes. */
async function rateCase(happen: (webhook: Webhook) => void): Promise<Case[]> {
  return [
    {
      name: 'it goes on for twenty minutes',
      series: await recordWebhook(10, ...repeat(20, happen), [() => undefined, 20]),
      expected: [
        [15, undefined],
        [25, {}],
        [40, undefined],
      ],
    },
    {
      name: 'it happens once',
      series: await recordWebhook(10, [happen, 60]),
      expected: [
        [20, undefined],
        [60, undefined],
      ],
    },
  ];
}

/** Something happens for the first time. */
async function firstEventCase(happen: (webhook: Webhook) => void, fires: Labels): Promise<Case[]> {
  return [
    {
      name: `the first event${Object.values(fires)
        .map((value) => ` (${value})`)
        .join('')}`,
      series: await recordWebhook(10, [happen, 120]),
      expected: [
        [9, undefined],
        [12, fires],
        [75, undefined],
      ],
    },
  ];
}

/** Errors at minutes 20 and 60, each seen for ten minutes. */
function apiServerExpectations(fires: Labels): Case['expected'] {
  return [
    [19, undefined],
    [20, fires],
    [29, fires],
    [31, undefined],
    [61, fires],
    [75, undefined],
  ];
}

interface Rule {
  readonly alert: string;
  readonly labels: Labels;
  readonly annotations: Labels;
}

/** The annotations with the alert's labels in them. */
function fillIn(annotations: Labels, labels: Labels): Labels {
  return Object.fromEntries(
    Object.entries(annotations).map(([name, text]) => [
      name,
      text.replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => labels[label] ?? ''),
    ]),
  );
}

function promtool(t: Test, command: readonly string[], files: Readonly<Record<string, unknown>>): string {
  const directory = t.testdir();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), JSON.stringify(content));
  const last = Object.keys(files).at(-1) ?? '';
  const { status, stdout, stderr } = spawnSync('promtool', [...command, last], { cwd: directory, encoding: 'utf8' });
  return status === 0 ? '' : `${stdout}${stderr}`;
}

void t.test('each alert fires at the first event, and clears', options, async (t) => {
  const spec = at(find(render('metrics.prometheusRule.enabled=true'), 'PrometheusRule'), 'spec');
  const rules = at(spec, 'groups.0.rules') as readonly Rule[];
  t.strictSame(rules.map(({ alert }) => alert).sort(), Object.keys(CASES).sort(), 'each alert has its cases');
  for (const { alert, labels, annotations } of rules) {
    for (const { name, series, expected } of (await CASES[alert]?.()) ?? []) {
      const test = {
        rule_files: ['rules.json'],
        evaluation_interval: '1m',
        tests: [
          {
            interval: '1m',
            input_series: series,
            alert_rule_test: expected.map(([minute, fires]) => ({
              eval_time: `${minute}m`,
              alertname: alert,
              exp_alerts:
                fires === undefined
                  ? []
                  : [{ exp_labels: { ...fires, ...labels }, exp_annotations: fillIn(annotations, fires) }],
            })),
          },
        ],
      };
      t.equal(promtool(t, ['test', 'rules'], { 'rules.json': spec, 'test.json': test }), '', `${alert}: ${name}`);
    }
  }
});

void t.test('each alert says what to do, and where to read on', options, (t) => {
  const base = 'https://example.com/operate';
  const objects = render('metrics.prometheusRule.enabled=true', `metrics.prometheusRule.runbookUrl=${base}`);
  const page = readFileSync('docs/operate.md', 'utf8');
  for (const { alert, annotations } of at(find(objects, 'PrometheusRule'), 'spec.groups.0.rules') as Rule[]) {
    t.equal(annotations['runbook_url'], `${base}#${alert.toLowerCase()}`);
    t.ok(page.includes(`\n### ${alert}\n`), `${alert} has its section`);
    t.match(annotations['summary'], /: /, `${alert}: what happens, and what to do`);
  }
  t.end();
});

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const dashboard = JSON.parse(readFileSync(`${CHART}/dashboards/ado-git-identity.json`, 'utf8')) as {
  readonly panels: readonly Panel[];
};
/** Its expressions, with the values that Grafana puts into them. */
const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h') })),
);

void t.test('the panels show what has happened', options, async (t) => {
  const rules = panels.map(({ expr }, index) => ({ record: `panel_${index}`, expr }));
  const groups = [{ name: 'panels', rules }];
  t.equal(promtool(t, ['check', 'rules'], { 'rules.json': { groups } }), '', 'each expression is valid');

  const find = (title: string): string => panels.find((panel) => panel.title === title)?.expr ?? '';
  const webhook = await recordWebhook(
    10,
    [({ countAdmission }) => countAdmission('injected', ''), 1],
    [({ countAdmission }) => countAdmission('updated', ''), 1],
    [({ countAdmission }) => countAdmission('unchanged', ''), 10],
  );
  const rejection = 'apiserver_admission_webhook_rejection_count';
  const failed = `${HOOK},error_type="calling_webhook_error",rejection_code="0"`;
  const evaluate = (title: string, minute: number, samples: readonly [labels: string, value: number][]) => ({
    expr: `round(${find(title)}, 0.1)`,
    eval_time: `${minute}m`,
    exp_samples: samples.map(([labels, value]) => ({ labels, value })),
  });
  const test = {
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: [...webhook, ...recordSidecar([false, undefined, 30]), ...recordApiServer(rejection, failed)],
        promql_expr_test: [
          evaluate('Replicas ready', 15, [['{}', 1]]),
          evaluate('Pods injected', 15, [['{}', 1]]),
          evaluate('Pods without a token', 15, [['{}', 1]]),
          evaluate('Sidecars scraped', 15, [['{}', 1]]),
          evaluate('Watch silent for', 15, [['{}', 900]]),
          evaluate('Certificate expires in', 15, [['{}', 90 * 86_400 - 900]]),
        ],
      },
    ],
  };
  t.equal(promtool(t, ['test', 'rules'], { 'test.json': test }), '', 'and has its value');
});

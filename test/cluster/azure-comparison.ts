/**
 * What an admission costs, of ours and of the Azure webhook: added latency, a burst, CPU time. All are measured in one run and
 * in turn, so that a busy minute slows all.
 */
import { loadavg } from 'node:os';
import type { Test } from 'tap';
import { INJECT, WEBHOOK_ENTRY } from '../../src/names.js';
import type { ApiAnswer, KubernetesObject } from './api.js';
import {
  AZURE_ENTRY,
  type AzureWebhook,
  countAzureRestarts,
  installAzureWebhook,
  readAzureCpuSeconds,
} from './azure-webhook.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, listServing, readOfWebhook, removeNamespace } from './installation.js';
import { measureAddedLatency, measureBurst } from './latency.js';
import { buildSmallPod, inParallel, isInjected, percentile } from './load.js';

/** Only our webhook is called for the pods of the one, only theirs for those of the other. */
const NAMESPACE = { ours: 'ado-git-compare-ours', theirs: 'ado-git-compare-theirs' };
const SAMPLES = 1_500;
const ROUNDS = 5;
const BURST = { count: 2_000, parallel: 100 };
/** How much longer p99 of our burst may take than of theirs. */
const ALLOWED_RATIO = 1.5;
/** Theirs has its chart's limits at first, 0.1 CPU and 30 MiB for each replica; then these, with which it is compared. */
const LIMITS = { cpu: '2', memory: '256Mi' };
/** Of the pod's containers, how often it is created in each round, and how many of these creations are unanswered at any time. */
const SIZES = [
  { size: '5 KiB', bytes: 5 * 1024, count: 500, parallel: 4 },
  { size: '64 KiB', bytes: 64 * 1024, count: 60, parallel: 4 },
  { size: '1 MiB', bytes: 1024 * 1024, count: 6, parallel: 2 },
];
const CPU_ROUNDS = 3;
/** Linux counts CPU time in hundredths of a second for every program. */
const TICKS_PER_SECOND = 100;

type Kind = 'without' | 'ours' | 'theirs';
const KINDS: readonly Kind[] = ['without', 'ours', 'theirs'];

/** Installs the Azure webhook, and leaves it there with enough CPU and memory. */
export async function compareWithAzureWebhook(t: Test, cluster: Cluster, webhook: AzureWebhook): Promise<void> {
  const { api, azure } = cluster;
  await addNamespace(api, azure, NAMESPACE.ours);
  await addNamespace(api, azure, NAMESPACE.theirs, { [INJECT]: 'disabled' });
  await installAzureWebhook(webhook, { excluded: NAMESPACE.ours });
  await burstWithChartLimits();
  await installAzureWebhook(webhook, { excluded: NAMESPACE.ours, limits: LIMITS });
  await latency();
  await bursts();
  for (const one of SIZES) await cpu(one);
  for (const namespace of Object.values(NAMESPACE)) await removeNamespace(api, namespace);

  async function burstWithChartLimits(): Promise<void> {
    for (const what of ['which warms up', 'which counts']) {
      const ours = await burst('ours');
      expectAll('ours', ours.answers);
      const theirs = await burst('theirs');
      const failed = theirs.answers.filter(({ status }) => status !== 201).length;
      const restarts = await countAzureRestarts(api);
      t.comment(`with the limits of the charts, ours, a burst, ${what}, of ${ours.summary}`);
      t.comment(`theirs, a burst, ${what}, of ${theirs.summary}; ${failed} failed, ${restarts} restarts of replicas`);
    }
  }

  async function latency(): Promise<void> {
    const kinds = {
      ours: { pod: build('ours', 'latency'), webhook: WEBHOOK_ENTRY },
      theirs: { pod: build('theirs', 'latency'), webhook: AZURE_ENTRY },
    };
    const { created, summary } = await measureAddedLatency(api, build('without', 'latency'), kinds, SAMPLES);
    for (const kind of KINDS)
      t.equal(created[kind].filter((pod) => isMadeBy(kind, pod)).length, SAMPLES, `${kind}: all are created`);
    t.comment(`the creation of a pod, ${summary}`);
  }

  async function bursts(): Promise<void> {
    const p50: Record<Kind, number[]> = { without: [], ours: [], theirs: [] };
    const p99: Record<Kind, number[]> = { without: [], ours: [], theirs: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      // Each is first in some round.
      for (const kind of [...KINDS.slice(round % KINDS.length), ...KINDS.slice(0, round % KINDS.length)]) {
        const { times, answers } = await burst(kind);
        expectAll(kind, answers);
        p50[kind].push(percentile(times, 0.5));
        p99[kind].push(percentile(times, 0.99));
      }
    }
    const describe = (kind: Kind): string =>
      `${kind} p50 ${median(p50[kind]).toFixed(0)} ms, p99 ${median(p99[kind]).toFixed(0)} ms`;
    t.comment(`${BURST.count} pods at ${BURST.parallel} in parallel, medians of ${ROUNDS} rounds: ${join(describe)}`);
    t.comment(`p99 of each round: ${join((kind) => `${kind} ${p99[kind].map((ms) => ms.toFixed(0)).join(' ')}`)}`);
    const ratio = median(p99.ours) / median(p99.theirs);
    const load = loadavg()[0]?.toFixed(1) ?? '';
    t.comment(`p99 of ours is ${ratio.toFixed(2)} of theirs, with a load average of ${load} on this machine`);
    t.ok(ratio <= ALLOWED_RATIO, `p99 of ours is at most ${ALLOWED_RATIO} of theirs`);
  }

  async function cpu({ size, bytes, count, parallel }: (typeof SIZES)[number]): Promise<void> {
    const each = { ours: [] as number[], theirs: [] as number[] };
    // The first round warms both up.
    for (let round = 0; round <= CPU_ROUNDS; round += 1) {
      for (const kind of ['ours', 'theirs'] as const) {
        const pod = withContainers(build(kind, 'cpu'), bytes);
        const before = await readCpuSeconds(kind);
        const answers: ApiAnswer[] = [];
        await inParallel(count, parallel, async () => void answers.push(await api.create(pod, '?dryRun=All')));
        const ms = ((await readCpuSeconds(kind)) - before) * (1000 / count);
        expectAll(kind, answers, count);
        if (round > 0) each[kind].push(ms);
      }
    }
    const [ours, theirs] = [median(each.ours), median(each.theirs)];
    const figures = `ours ${ours.toFixed(2)} ms, theirs ${theirs.toFixed(2)} ms, ratio ${(ours / theirs).toFixed(2)}`;
    t.comment(`CPU time of an admission, pods of ${size}, medians of ${CPU_ROUNDS} rounds: ${figures}`);
    t.ok(ours > 0 && theirs > 0, `${size}: the CPU time of both is measured`);
  }

  async function burst(kind: Kind) {
    return measureBurst(api, (index) => build(kind, `burst-${index}`), BURST);
  }

  function expectAll(kind: Kind, answers: readonly ApiAnswer[], count: number = BURST.count): void {
    const others = answers.filter(({ status, body }) => status !== 201 || !isMadeBy(kind, body));
    const [first] = others.map(({ body }) => JSON.stringify(body).slice(0, 500));
    t.equal(
      answers.length - others.length,
      count,
      `${kind}: all are created${first === undefined ? '' : `; ${first}`}`,
    );
  }

  async function readCpuSeconds(kind: 'ours' | 'theirs'): Promise<number> {
    if (kind === 'theirs') return readAzureCpuSeconds(api);
    let ticks = 0;
    for (const replica of await listServing(api)) {
      const fields = (await readOfWebhook(replica, '/proc/1/stat')).replace(/^.*\) /s, '').split(' ');
      // utime and stime
      ticks += Number(fields[11]) + Number(fields[12]);
    }
    return ticks / TICKS_PER_SECOND;
  }
}

/** The same small pod for each, but for the namespace; without a webhook, it has no label by which webhooks are called. */
function build(kind: Kind, name: string): KubernetesObject {
  if (kind !== 'without') return buildSmallPod(NAMESPACE[kind], name, { asksByName: true });
  const pod = buildSmallPod(NAMESPACE.theirs, name, { asksByName: true });
  return { ...pod, metadata: { ...pod.metadata, labels: {} } };
}

/** The pod with as many containers, each with twenty variables, as their JSON needs to have this many bytes. */
function withContainers(pod: KubernetesObject, bytes: number): KubernetesObject {
  const spec = pod['spec'] as { containers: readonly object[] };
  const containers: object[] = [];
  for (let length = 0; length < bytes;) {
    const container = {
      ...spec.containers[0],
      name: `app-${containers.length}`,
      env: Array.from({ length: 20 }, (_, index) => ({ name: `SETTING_${index}`, value: `value-of-setting-${index}` })),
    };
    containers.push(container);
    length += JSON.stringify(container).length;
  }
  return { ...pod, spec: { ...spec, containers } };
}

/** Whether the pod has what the webhook of its kind adds, and nothing of the other's. */
function isMadeBy(kind: Kind, pod: unknown): boolean {
  const { spec } = pod as { spec: { containers: { env?: { name: string }[] }[] } };
  const hasTheirs = spec.containers[0]?.env?.some(({ name }) => name === 'AZURE_CLIENT_ID') === true;
  return isInjected(pod) === (kind === 'ours') && hasTheirs === (kind === 'theirs');
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

function join(describe: (kind: Kind) => string): string {
  return KINDS.map(describe).join('; ');
}

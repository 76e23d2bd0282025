/**
 * The time that admission adds to the creation of a pod, as a client measures it and as the API server does:
 * `measureAddedLatency`; and how long many creations at once take: `measureBurst`.
 */
import type { Api, ApiAnswer, KubernetesObject } from './api.js';
import { inParallel, percentile } from './load.js';

export interface BurstOptions {
  readonly count: number;
  /** How many creations are unanswered at any time. */
  readonly parallel: number;
}

export interface Burst {
  /** Seconds until all were answered, and p50 and p99 of a creation. */
  readonly summary: string;
  /** Milliseconds of each creation. */
  readonly times: readonly number[];
  readonly answers: readonly ApiAnswer[];
}

/** Creates many pods at once, as a dry run. */
export async function measureBurst(
  api: Api,
  build: (index: number) => KubernetesObject,
  { count, parallel }: BurstOptions,
): Promise<Burst> {
  const times: number[] = [];
  const answers: ApiAnswer[] = [];
  const startMs = performance.now();
  await inParallel(count, parallel, async (index) => {
    const sentMs = performance.now();
    answers.push(await api.create(build(index), '?dryRun=All'));
    times.push(performance.now() - sentMs);
  });
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(times, share).toFixed(0));
  const summary = `${count} pods at ${parallel} in parallel: ${seconds} s in all, p50 ${p50} ms, p99 ${p99} ms`;
  return { summary, times, answers };
}

/** A pod for which a webhook is called. */
export interface CalledFor {
  readonly pod: KubernetesObject;
  /** The webhook's entry in its configuration. */
  readonly webhook: string;
}

export interface AddedLatency<Kind extends string> {
  /** For both p50 and p99: the creation, with what the webhook adds to it; and the API server's own calls of the webhook. */
  readonly summary: string;
  /** The pods that were created, as the API server answers them. */
  readonly created: Readonly<Record<Kind | 'without', readonly unknown[]>>;
}

/** Creates a pod for which no webhook is called and one of each kind, in turn, so that a busy moment slows all. */
export async function measureAddedLatency<Kind extends string>(
  api: Api,
  without: KubernetesObject,
  kinds: Readonly<Record<Kind, CalledFor>>,
  samples: number,
): Promise<AddedLatency<Kind>> {
  const names = Object.keys(kinds) as Kind[];
  const times: Record<string, number[]> = {};
  const created = Object.fromEntries(['without', ...names].map((name) => [name, [] as unknown[]]));
  const readAll = () => Promise.all(names.map((name) => readHistogram(api, kinds[name].webhook)));
  const before = await readAll();
  for (let index = 0; index < samples; index += 1) {
    await create('without', without);
    for (const name of names) await create(name, kinds[name].pod);
  }
  const after = await readAll();
  const measured = (name: string, share: number): number => percentile(times[name] ?? [], share);
  const describe = (name: string, index: number): string => {
    const add = (share: number): string => {
      const ms = measured(name, share);
      return `p${share * 100} ${ms.toFixed(1)} ms (${(ms - measured('without', share)).toFixed(1)} added)`;
    };
    const calls = subtract(after[index] ?? new Map(), before[index] ?? new Map());
    const own = `p50 ${estimateMs(calls, 0.5).toFixed(1)} ms, p99 ${estimateMs(calls, 0.99).toFixed(1)} ms`;
    return `${name} ${add(0.5)}, ${add(0.99)}, the API server's own histogram of the call: ${own}`;
  };
  const base = `without p50 ${measured('without', 0.5).toFixed(1)} ms, p99 ${measured('without', 0.99).toFixed(1)} ms`;
  return {
    summary: `over ${samples}: ${[base, ...names.map(describe)].join('; ')}`,
    created: created as Record<Kind | 'without', unknown[]>,
  };

  async function create(name: string, pod: KubernetesObject): Promise<void> {
    const start = performance.now();
    const { status, body } = await api.create(pod, '?dryRun=All');
    (times[name] ??= []).push(performance.now() - start);
    if (status === 201) created[name]?.push(body);
  }
}

/** Upper bounds in seconds, each with the count of calls up to it. */
type Histogram = ReadonlyMap<number, number>;

async function readHistogram(api: Api, webhook: string): Promise<Histogram> {
  const { body } = await api.request('GET', '/metrics');
  const name = 'apiserver_admission_webhook_admission_duration_seconds_bucket';
  const counts = new Map<number, number>();
  for (const line of String(body).split('\n')) {
    if (!line.startsWith(name) || !line.includes(`name="${webhook}"`)) continue;
    const [, bound = '', count = ''] = /le="([^"]+)"\} (\S+)$/.exec(line) ?? [];
    const upTo = bound === '+Inf' ? Infinity : Number(bound);
    counts.set(upTo, (counts.get(upTo) ?? 0) + Number(count));
  }
  return counts;
}

function subtract(after: Histogram, before: Histogram): Histogram {
  return new Map([...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/** The quantile in milliseconds, as Prometheus' `histogram_quantile` estimates it: linear within a bucket. */
function estimateMs(histogram: Histogram, share: number): number {
  const buckets = [...histogram].sort(([one], [other]) => one - other);
  const rank = (buckets.at(-1)?.[1] ?? 0) * share;
  let [low, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank && count > below) return (low + ((bound - low) * (rank - below)) / (count - below)) * 1000;
    [low, below] = [bound, count];
  }
  return NaN;
}

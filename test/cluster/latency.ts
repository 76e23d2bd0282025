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
  return { summary, answers };
}

export interface AddedLatency {
  /** For both p50 and p99: the creation with less that without; and the API server's own calls of the webhook. */
  readonly summary: string;
  /** The pods that were created, as the API server answers them. */
  readonly without: readonly unknown[];
  readonly with: readonly unknown[];
}

/** Creates pods for which the webhook is called and pods for which it isn't, in turn, so that a busy moment slows both. */
export async function measureAddedLatency(
  api: Api,
  pods: { readonly without: KubernetesObject; readonly with: KubernetesObject },
  samples: number,
  webhook: string,
): Promise<AddedLatency> {
  const withoutCall = { times: [] as number[], created: [] as unknown[] };
  const withCall = { times: [] as number[], created: [] as unknown[] };
  const before = await readHistogram(api, webhook);
  for (let index = 0; index < samples; index += 1) {
    await create(pods.without, withoutCall);
    await create(pods.with, withCall);
  }
  const add = (share: number): string =>
    `p${share * 100} ${(percentile(withCall.times, share) - percentile(withoutCall.times, share)).toFixed(1)} ms`;
  const calls = subtract(await readHistogram(api, webhook), before);
  const own = `p50 ${estimateMs(calls, 0.5).toFixed(1)} ms, p99 ${estimateMs(calls, 0.99).toFixed(1)} ms`;
  return {
    summary: `over ${samples}: ${add(0.5)}, ${add(0.99)}; the API server's own histogram of the call: ${own}`,
    without: withoutCall.created,
    with: withCall.created,
  };

  async function create(pod: KubernetesObject, result: { times: number[]; created: unknown[] }): Promise<void> {
    const start = performance.now();
    const { status, body } = await api.create(pod, '?dryRun=All');
    result.times.push(performance.now() - start);
    if (status === 201) result.created.push(body);
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

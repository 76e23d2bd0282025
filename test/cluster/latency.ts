/** What admission costs, as whoever creates pods sees it, and as the API server does. */
import type { Api, KubernetesObject } from './api.js';
import { percentile } from './load.js';

export interface AddedLatency {
  /** p50 and p99 of the dearer pod's creation less those of the cheaper one's; and of the API server's calls. */
  readonly summary: string;
  /** What was created, as the API server answers it. */
  readonly cheaper: readonly unknown[];
  readonly dearer: readonly unknown[];
}

/** Creates two kinds of pod in turn, as a dry run, so that the machine's moods meet both alike. */
export async function measureAddedLatency(
  api: Api,
  pods: { readonly cheaper: KubernetesObject; readonly dearer: KubernetesObject },
  samples: number,
  webhook: string,
): Promise<AddedLatency> {
  const cheaper = { times: [] as number[], created: [] as unknown[] };
  const dearer = { times: [] as number[], created: [] as unknown[] };
  const before = await readHistogram(api, webhook);
  for (let index = 0; index < samples; index += 1) {
    await create(pods.cheaper, cheaper);
    await create(pods.dearer, dearer);
  }
  const add = (share: number): string =>
    `p${share * 100} ${(percentile(dearer.times, share) - percentile(cheaper.times, share)).toFixed(1)} ms`;
  const calls = subtract(await readHistogram(api, webhook), before);
  const own = `p50 ${estimate(calls, 0.5).toFixed(1)} ms, p99 ${estimate(calls, 0.99).toFixed(1)} ms`;
  return {
    summary: `over ${samples}: ${add(0.5)}, ${add(0.99)}; the API server's own histogram of the call: ${own}`,
    cheaper: cheaper.created,
    dearer: dearer.created,
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

/** As Prometheus' `histogram_quantile` does: linear within a bucket. Milliseconds. */
function estimate(histogram: Histogram, share: number): number {
  const buckets = [...histogram].sort(([one], [other]) => one - other);
  const rank = (buckets.at(-1)?.[1] ?? 0) * share;
  let [low, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank && count > below) return (low + ((bound - low) * (rank - below)) / (count - below)) * 1000;
    [low, below] = [bound, count];
  }
  return NaN;
}

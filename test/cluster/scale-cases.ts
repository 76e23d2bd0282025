/** Ten thousand service accounts: a burst of pods, memory, and the time that an admission takes. */
import type { Test } from 'tap';
import { AZURE_ANNOTATION, INJECT, WEBHOOK_ENTRY } from '../../src/names.js';
import { CLIENT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, listServing, readOfWebhook, removeNamespace, restartWebhook } from './installation.js';
import { measureAddedLatency, measureBurst } from './latency.js';
import { buildSmallPod, inParallel, isInjected } from './load.js';

const NAMESPACE = 'ado-git-scale';
const ACCOUNTS = 10_000;
const BURST = { count: 2_000, parallel: 100 };
const SAMPLES = 500;
const LARGE_PODS = 40;
const LARGE_BYTES = 600_000;
/** Limits of the anonymous memory of each replica: after the burst of small pods, and after large ones. */
const MEMORY_LIMIT_MB = { small: 64, large: 96 };

export async function scaleCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  await inParallel(ACCOUNTS, 50, async (index) => {
    const metadata = {
      name: `account-${index}`,
      namespace: NAMESPACE,
      annotations: {
        [AZURE_ANNOTATION.clientId]: CLIENT_ID,
        note: 'n'.repeat(200),
      },
    };
    const { status, body } = await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    if (status !== 201) throw new Error(JSON.stringify(body));
  });
  let memory = await burstAndMeasure(0);
  for (let tries = 1; tries < 3 && memory.some((megabytes) => megabytes > MEMORY_LIMIT_MB.small); tries += 1) {
    memory = await burstAndMeasure(tries);
  }
  t.ok(Math.max(...memory) <= MEMORY_LIMIT_MB.small, `at most ${MEMORY_LIMIT_MB.small} MB after the burst`);
  const large = await burstOfLargePods();
  t.comment(`${LARGE_PODS} pods of ${LARGE_BYTES / 1000} kB at once: ${large.length} failed`);
  t.strictSame(large.slice(0, 3), [], 'the API server repeats what the webhook turns away');
  const afterLarge = await measureMemory('after large pods');
  t.ok(Math.max(...afterLarge) <= MEMORY_LIMIT_MB.large, `at most ${MEMORY_LIMIT_MB.large} MB after large pods`);
  await latency(t);
  await removeNamespace(api, NAMESPACE);

  /** With fresh replicas: what stands in memory when a burst ends, garbage too, differs from one to the next. */
  async function burstAndMeasure(burst: number): Promise<number[]> {
    await restartWebhook();
    const build = (index: number) =>
      buildSmallPod(NAMESPACE, `burst-${burst}-${index}`, { asksByName: true, serviceAccount: `account-${index * 3}` });
    const { summary, answers } = await measureBurst(api, build, BURST);
    const failures = answers
      .filter(({ status, body }) => status !== 201 || !isInjected(body))
      .map(({ body }) => JSON.stringify(body).slice(0, 500));
    t.comment(`${ACCOUNTS} service accounts, a burst of ${summary}; ${failures.length} failed`);
    t.strictSame(failures.slice(0, 3), [], 'every pod of the burst is injected');
    return measureMemory('after the burst');
  }

  /** Megabytes of each replica. */
  async function measureMemory(when: string): Promise<number[]> {
    const replicas = await listServing(api);
    t.equal(replicas.length, 2, 'both replicas are measured');
    const found: number[] = [];
    for (const replica of replicas) {
      const kilobytes = /^RssAnon:\s+(\d+)/m.exec(await readOfWebhook(replica, '/proc/1/status'))?.[1];
      const megabytes = Number(kilobytes) / 1024;
      t.comment(`${replica}: ${megabytes.toFixed(1)} MB of anonymous memory ${when}`);
      found.push(megabytes);
    }
    return found;
  }

  async function burstOfLargePods(): Promise<string[]> {
    const refused: string[] = [];
    await inParallel(LARGE_PODS, LARGE_PODS, async (index) => {
      const pod = buildSmallPod(NAMESPACE, `large-${index}`, { asksByName: true });
      const spec = pod['spec'] as { containers: object[] };
      const containers = spec.containers.map((container) => ({
        ...container,
        env: [{ name: 'LARGE', value: 'x'.repeat(LARGE_BYTES) }],
      }));
      const { status, body } = await api.create({ ...pod, spec: { ...spec, containers } }, '?dryRun=All');
      if (status !== 201 || !isInjected(body)) refused.push(JSON.stringify(body).slice(0, 500));
    });
    return refused;
  }

  async function latency(t: Test): Promise<void> {
    const without = buildSmallPod(NAMESPACE, 'latency', { annotations: { [INJECT]: 'disabled' } });
    const ours = { pod: buildSmallPod(NAMESPACE, 'latency', { asksByName: true }), webhook: WEBHOOK_ENTRY };
    const { created, summary } = await measureAddedLatency(api, without, { ours }, SAMPLES);
    t.equal(created.without.filter((pod) => !isInjected(pod)).length, SAMPLES, 'all are created and not injected');
    t.equal(created.ours.filter(isInjected).length, SAMPLES, 'all are created and injected');
    t.comment(`the creation of a pod, ${summary}`);
  }
}

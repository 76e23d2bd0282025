/** Ten thousand service accounts, a burst, and the API server's own view of what an admission costs. */
import type { Test } from 'tap';
import { WEBHOOK_ENTRY } from '../../src/names.js';
import { waitFor } from './api.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, removeNamespace, restartWebhook, run, SYSTEM_NAMESPACE, WEBHOOK_PODS } from './installation.js';
import { measureAddedLatency } from './latency.js';
import { buildSmallPod, isInjected } from './load.js';

const NAMESPACE = 'ado-git-scale';
const ACCOUNTS = 10_000;
const BURST = 2_000;
const PARALLEL = 100;
const SAMPLES = 500;
const LARGE_PODS = 40;
const LARGE_BYTES = 600_000;
/** Of each replica, anonymous. */
const MEMORY_LIMIT_MB = 64;

export async function scaleCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  await inParallel(ACCOUNTS, 50, async (index) => {
    const metadata = {
      name: `account-${index}`,
      namespace: NAMESPACE,
      annotations: {
        'azure.workload.identity/client-id': '2b6f7a10-5c4d-4e8f-9a3b-1d2c3e4f5a6b',
        note: 'n'.repeat(200),
      },
    };
    const { status, body } = await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    if (status !== 201) throw new Error(JSON.stringify(body));
  });
  await restartWebhook();
  const failures: string[] = [];
  await inParallel(BURST, PARALLEL, async (index) => {
    const pod = buildSmallPod(NAMESPACE, `burst-${index}`);
    const spec = { ...(pod['spec'] as object), serviceAccountName: `account-${index * 3}` };
    const { status, body } = await api.create({ ...pod, spec }, '?dryRun=All');
    if (status !== 201) failures.push(JSON.stringify(body));
  });
  t.comment(
    `${ACCOUNTS} service accounts, a burst of ${BURST} pods at ${PARALLEL} in parallel: ${failures.length} failed`,
  );
  t.strictSame(failures.slice(0, 3), []);
  const large = await burstOfLargePods();
  t.comment(`${LARGE_PODS} pods of ${LARGE_BYTES / 1000} kB at once: ${large.length} failed`);
  t.strictSame(large.slice(0, 3), [], 'what is turned away is tried again');
  const { items } = (await api.get(WEBHOOK_PODS)) as {
    items: { metadata: { name: string }; status: { phase: string } }[];
  };
  for (const { metadata } of items.filter(({ status }) => status.phase === 'Running')) {
    const script =
      "console.log(/^Anonymous: +(\\d+)/m.exec(require('fs').readFileSync('/proc/1/smaps_rollup', 'utf8'))[1])";
    const kilobytes = await run('kubectl', [
      'exec',
      '-n',
      SYSTEM_NAMESPACE,
      metadata.name,
      '-c',
      'webhook',
      '--',
      '/nodejs/bin/node',
      '-e',
      script,
    ]);
    const megabytes = Number(kilobytes) / 1024;
    t.comment(`${metadata.name}: ${megabytes.toFixed(1)} MB of anonymous memory`);
    t.ok(megabytes <= MEMORY_LIMIT_MB, 'within its memory');
  }
  await latency(t);
  await removeNamespace(api, NAMESPACE);
  await waitFor('the service accounts are gone', 60, async () =>
    (await api.get(`/api/v1/namespaces/${NAMESPACE}`)) === undefined ? true : undefined,
  );

  async function burstOfLargePods(): Promise<string[]> {
    const refused: string[] = [];
    await inParallel(LARGE_PODS, LARGE_PODS, async (index) => {
      const pod = buildSmallPod(NAMESPACE, `large-${index}`);
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
    const pods = {
      cheaper: buildSmallPod(NAMESPACE, 'latency', { 'ado-git.workload.identity/inject': 'disabled' }),
      dearer: buildSmallPod(NAMESPACE, 'latency'),
    };
    const { cheaper, dearer, summary } = await measureAddedLatency(api, pods, SAMPLES, WEBHOOK_ENTRY);
    t.equal(cheaper.filter((pod) => !isInjected(pod)).length, SAMPLES, 'all are created and left alone');
    t.equal(dearer.filter(isInjected).length, SAMPLES, 'all are created and injected');
    t.comment(`added to the creation of a pod, ${summary}`);
  }
}

async function inParallel(count: number, parallel: number, action: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await action(index);
  };
  await Promise.all(Array.from({ length: parallel }, work));
}

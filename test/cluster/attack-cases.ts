/** Under attack: a pod does what it can against every port, while labelled pods are created. */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import type { Test } from 'tap';
import { DEFAULT_HEALTH_PORT, DEFAULT_SIDECAR_PORT } from '../../src/defaults.js';
import { WEBHOOK_NAME } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import type { Tally, Target, Targets } from './attacker.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  buildPod,
  IMAGE,
  readOfWebhook,
  removeNamespace,
  SYSTEM_NAMESPACE,
  WEBHOOK_PODS,
} from './installation.js';
import { percentile, startLoad } from './load.js';

const NAMESPACE = 'ado-git-attacked';
/** Where pods are not injected. */
const OF_ATTACKER = 'ado-git-attacker';
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const PER_SECOND = 20;
const SECONDS = 120;
const MAX_P99_MS = 1000;

interface PodStatus {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec: {
    readonly containers: readonly { readonly resources: { readonly limits?: { readonly memory: string } } }[];
  };
  readonly status: {
    readonly phase: string;
    readonly podIP: string;
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

interface ContainerStatus {
  readonly name: string;
  readonly restartCount: number;
}

export async function attackCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  await addNamespace(api, azure, OF_ATTACKER);
  const { status, body } = await api.create(buildPod(NAMESPACE, 'attacked', { script: 'sleep 600' }));
  t.equal(status, 201, `the pod that is attacked is created: ${status === 201 ? '' : JSON.stringify(body)}`);
  const attacked = await waitForAddress(`${PODS}/attacked`);
  const replicas = await listReplicas();
  t.equal(replicas.length, 2, 'both replicas are attacked');
  await startAttacker({
    webhook: await findService(),
    health: replicas.map(({ status }): Target => ({ host: status.podIP, port: DEFAULT_HEALTH_PORT })),
    sidecar: { host: attacked.status.podIP, port: DEFAULT_SIDECAR_PORT },
    namespaces: [NAMESPACE, OF_ATTACKER],
  });
  await waitUntil('every attack has begun', async () => listIdle(await readTallies()).length === 0, {
    withinSeconds: 30,
    describe: () => api.logs(OF_ATTACKER, 'attacker', 'attacker'),
  });

  const load = startLoad(api, NAMESPACE, PER_SECOND);
  await sleep((SECONDS * 1000) / 2);
  const halfway = await readTallies();
  const [busy = 0] = loadavg();
  await sleep((SECONDS * 1000) / 2);
  const { sent, failures, unanswered, notInjected, times } = await load.stop();
  const tallies = await readTallies();

  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
  t.comment(
    `${sent} pods at ${PER_SECOND} a second under attack: ${failures.length} failed, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, load average ${busy.toFixed(1)}`,
  );
  for (const [kind, { tried, answered, open }] of Object.entries(tallies))
    t.comment(`${kind}: ${tried} tried, ${answered} answered, ${open} open`);
  t.strictSame(
    Object.entries(tallies).filter(([kind, { tried, open }]) => tried === halfway[kind]?.tried && open === 0),
    [],
    'every attack went on',
  );
  t.strictSame(failures.slice(0, 3), [], 'no creation fails');
  t.equal(unanswered, 0, 'the API server answers all');
  t.equal(notInjected, 0, 'every pod is injected');
  t.ok(p99 < MAX_P99_MS, `99 of 100 creations take less than ${MAX_P99_MS} ms`);
  await checkReplicas();
  const after = (await api.get(`${PODS}/attacked`)) as PodStatus;
  t.strictSame(listRestarts(after), ['ado-git-identity 0', 'app 0'], 'the sidecar is not restarted');
  await removeNamespace(api, OF_ATTACKER);
  await removeNamespace(api, NAMESPACE);

  async function startAttacker(targets: Targets): Promise<void> {
    const metadata = { name: 'attacker', namespace: OF_ATTACKER };
    await api.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { 'attacker.mjs': await bundleAttacker() },
    });
    const { status, body } = await api.create(buildAttacker(metadata, targets));
    t.equal(status, 201, `the attacker is created: ${status === 201 ? '' : JSON.stringify(body)}`);
    await waitForAddress(`/api/v1/namespaces/${OF_ATTACKER}/pods/attacker`);
  }

  async function findService(): Promise<Target> {
    const { spec } = (await api.get(`/api/v1/namespaces/${SYSTEM_NAMESPACE}/services/${WEBHOOK_NAME}`)) as {
      spec: { clusterIP: string; ports: readonly { port: number }[] };
    };
    return { host: spec.clusterIP, port: spec.ports[0]?.port ?? 0 };
  }

  async function readTallies(): Promise<Record<string, Tally>> {
    const lines = (await api.logs(OF_ATTACKER, 'attacker', 'attacker')).trim().split('\n');
    const last = lines.at(-1) ?? '';
    return last.startsWith('{') ? (JSON.parse(last) as Record<string, Tally>) : {};
  }

  async function waitForAddress(path: string): Promise<PodStatus> {
    return waitUntil(
      `${path} runs`,
      async () => {
        const pod = (await api.get(path)) as PodStatus;
        return pod.status.phase === 'Running' ? pod : undefined;
      },
      { withinSeconds: 60, describe: () => api.get(path) },
    );
  }

  async function listReplicas(): Promise<PodStatus[]> {
    const { items } = (await api.get(WEBHOOK_PODS)) as { items: PodStatus[] };
    return items.filter(
      ({ metadata, status }) => status.phase === 'Running' && metadata.deletionTimestamp === undefined,
    );
  }

  async function checkReplicas(): Promise<void> {
    const after = await listReplicas();
    t.strictSame(
      after.map(({ metadata }) => metadata.name),
      replicas.map(({ metadata }) => metadata.name),
      'the replicas are the same',
    );
    for (const replica of after) {
      const { name } = replica.metadata;
      const [, peak] = /^VmHWM:\s+(\d+)/m.exec(await readOfWebhook(name, '/proc/1/status')) ?? [];
      const limit = replica.spec.containers[0]?.resources.limits?.memory ?? '';
      const [mib, limitMib] = [Number(peak) / 1024, Number(limit.replace(/Mi$/, ''))];
      t.comment(`${name}: peak of memory ${mib.toFixed(0)} MiB`);
      t.ok(mib < limitMib, `less than its limit of ${limit}`);
      t.strictSame(listRestarts(replica), ['webhook 0'], `${name} is not restarted`);
    }
  }
}

function listIdle(tallies: Record<string, Tally>): string[] {
  if (Object.keys(tallies).length === 0) return ['all'];
  return Object.keys(tallies).filter((kind) => tallies[kind]?.tried === 0);
}

function listRestarts({ status }: PodStatus): string[] {
  const { initContainerStatuses = [], containerStatuses = [] } = status;
  return [...initContainerStatuses, ...containerStatuses].map(({ name, restartCount }) => `${name} ${restartCount}`);
}

async function bundleAttacker(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'attacker.ts')],
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  return outputFiles[0]?.text ?? '';
}

/** The image of the product has node. */
function buildAttacker(metadata: { name: string; namespace: string }, targets: Targets): KubernetesObject {
  const command = ['/nodejs/bin/node', '/attacker/attacker.mjs', JSON.stringify(targets)];
  const volumeMounts = [{ name: 'program', mountPath: '/attacker' }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'attacker', image: IMAGE, imagePullPolicy: 'IfNotPresent', command, volumeMounts }],
      volumes: [{ name: 'program', configMap: { name: 'attacker' } }],
    },
  };
}

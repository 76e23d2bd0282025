/** The time from a pod's creation to the start of its app: without a sidecar, with an empty native sidecar, and with ours. */
import type { Test } from 'tap';
import { INJECT } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, IMAGE, removeNamespace } from './installation.js';
import { percentile } from './load.js';

const NAMESPACE = 'ado-git-start';
const PODS = 30;
/** How much longer ours may take than an empty native sidecar. */
const ALLOWED_SECONDS = 0.3;

export async function startCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  const disabled = { [INJECT]: 'disabled' };
  const script = 'date +%s.%N; sleep 1';
  const idle = "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 60000)";
  const empty = {
    name: 'empty',
    image: IMAGE,
    command: ['/nodejs/bin/node', '--lite-mode', '-e', idle],
    restartPolicy: 'Always',
  };
  const kinds: Readonly<Record<string, (name: string) => KubernetesObject>> = {
    without: (name) => buildPod(NAMESPACE, name, { script, annotations: disabled }),
    empty: (name) => buildPod(NAMESPACE, name, { script, annotations: disabled, spec: { initContainers: [empty] } }),
    ours: (name) => buildPod(NAMESPACE, name, { script }),
  };
  const seconds: Record<string, number[]> = {};
  for (let index = 0; index < PODS; index += 1) {
    // In turn, so that a busy moment slows all three.
    for (const [kind, build] of Object.entries(kinds))
      (seconds[kind] ??= []).push(await measure(build(`${kind}-${index}`)));
  }
  const median = (kind: string): number => percentile(seconds[kind] ?? [], 0.5);
  const line = Object.keys(kinds)
    .map((kind) => `${kind} ${median(kind).toFixed(2)} s`)
    .join(', ');
  t.comment(`from creation to the app's start, p50 over ${PODS} pods: ${line}`);
  t.ok(median('ours') <= median('empty') + ALLOWED_SECONDS, 'ours costs little more than an empty native sidecar');
  await removeNamespace(api, NAMESPACE);

  async function measure(pod: KubernetesObject): Promise<number> {
    const created = Date.now();
    await api.create(pod);
    const name = pod.metadata.name ?? '';
    const readStart = async (): Promise<string | undefined> =>
      /^\d+\.\d+$/m.exec(await api.logs(NAMESPACE, name, 'app'))?.[0];
    const printed = await waitUntil(`the app of ${name} starts`, readStart, { withinSeconds: 60 });
    await api.remove(`/api/v1/namespaces/${NAMESPACE}/pods/${name}`);
    return Number(printed) - created / 1000;
  }
}

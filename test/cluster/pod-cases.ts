/** Inside the pod: users, security profiles, quotas, classes of service; a sidecar that is killed; how fast a pod is deleted. */
import type { Test } from 'tap';
import { ANNOTATION, INJECT, SIDECAR_CONTAINER } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, removeNamespace, run, waitForEnd, type Workload } from './installation.js';
import { percentile } from './load.js';

const NAMESPACE = 'ado-git-pods';
const RESTRICTED = 'ado-git-restricted';
const DELETIONS = 5;
const CLONE = 'cd /data && git clone -q https://dev.azure.com/contoso/payments/_git/api && echo cloned';

const restrictedContainer = {
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true },
};
const restrictedPod = {
  securityContext: { runAsNonRoot: true, runAsUser: 1000, fsGroup: 2000, seccompProfile: { type: 'RuntimeDefault' } },
};
const guaranteed = { resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { cpu: '50m', memory: '64Mi' } } };

/** Pods in which git must work. */
const PODS: Readonly<Record<string, { readonly workload: Workload; readonly qosClass?: string }>> = {
  plain: { workload: { script: CLONE } },
  'another-user': { workload: { script: CLONE, container: { securityContext: { runAsUser: 1234 } } } },
  'group-of-files': { workload: { script: CLONE, spec: { securityContext: { runAsUser: 1234, fsGroup: 5678 } } } },
  'no-api-token': { workload: { script: CLONE, spec: { automountServiceAccountToken: false } } },
  'read-only-root': { workload: { script: CLONE, container: { securityContext: { readOnlyRootFilesystem: true } } } },
  guaranteed: { workload: { script: CLONE, container: guaranteed }, qosClass: 'Guaranteed' },
  'pod-level-resources': {
    workload: {
      script: CLONE,
      spec: { resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { cpu: '1', memory: '128Mi' } } },
    },
    qosClass: 'Burstable',
  },
  'host-network': { workload: { script: CLONE, spec: { hostNetwork: true, dnsPolicy: 'Default' } } },
  'startup-wait': { workload: { script: CLONE, annotations: { [ANNOTATION.startup]: 'wait' } } },
  'startup-require': { workload: { script: CLONE, annotations: { [ANNOTATION.startup]: 'require' } } },
  'system-channel': { workload: { script: CLONE, annotations: { [ANNOTATION.gitConfig]: 'system' } } },
  'file-channel': {
    workload: {
      script:
        'cd /data && env -i PATH="$PATH" HOME=/data GIT_SSL_CAINFO=/authority/ca.crt git clone -q https://dev.azure.com/contoso/payments/_git/api && echo cloned',
      annotations: { [ANNOTATION.gitConfig]: 'file' },
    },
  },
};

export async function podCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  await addNamespace(api, azure, RESTRICTED, { 'pod-security.kubernetes.io/enforce': 'restricted' });
  await api.apply(...buildLimits(RESTRICTED));
  for (const [name, { workload }] of Object.entries(PODS)) await createPod(buildPod(NAMESPACE, name, workload));
  const restricted = { script: CLONE, container: { ...restrictedContainer, ...guaranteed }, spec: restrictedPod };
  await createPod(buildPod(RESTRICTED, 'restricted', restricted));

  for (const [name, { qosClass }] of Object.entries(PODS)) {
    const { phase, output } = await waitForEnd(api, NAMESPACE, name);
    t.match({ phase, output }, { phase: 'Succeeded', output: /cloned/ }, name);
    const pod = (await api.get(`/api/v1/namespaces/${NAMESPACE}/pods/${name}`)) as { status: { qosClass: string } };
    if (qosClass !== undefined) t.equal(pod.status.qosClass, qosClass, `${name} is ${qosClass}`);
  }
  t.match(
    await waitForEnd(api, RESTRICTED, 'restricted'),
    { phase: 'Succeeded', output: /cloned/ },
    'Pod Security restricted, quota and limit range',
  );
  await sharedProcesses();
  await killedSidecar();
  await quickDeletion();
  await removeNamespace(api, NAMESPACE);
  await removeNamespace(api, RESTRICTED);

  async function createPod(pod: KubernetesObject): Promise<void> {
    const { status, body } = await api.create(pod);
    t.equal(status, 201, `${pod.metadata.name ?? ''} is created: ${status === 201 ? '' : JSON.stringify(body)}`);
  }

  /** A process of the sidecar's own user, in its process namespace, finds the sidecar and reads nothing of it. */
  async function sharedProcesses(): Promise<void> {
    const script = `sleep 5; cd /proc; for pid in [0-9]*; do
      tr '\\0' ' ' <$pid/cmdline 2>/dev/null | grep -q '^/nodejs/bin/node .*sidecar' || continue
      echo "found as $(id -u)"
      kill -USR1 $pid
      for file in environ maps root/var/run/secrets/ado-git/token; do cat $pid/$file >/dev/null 2>&1 && echo "open $file"; done
      sleep 1; curl -s http://127.0.0.1:9229/json/list >/dev/null && echo 'open debugger'
    done; true`;
    const spec = { shareProcessNamespace: true, securityContext: { runAsUser: 1000 } };
    await createPod(buildPod(NAMESPACE, 'shared-processes', { script, spec }));
    const { phase, output } = await waitForEnd(api, NAMESPACE, 'shared-processes');
    t.match({ phase, output }, { phase: 'Succeeded', output: /found as 1000/ });
    t.notMatch(output, 'open', 'nothing of the sidecar is open');
  }

  async function killedSidecar(): Promise<void> {
    const loop =
      'cd /data; while :; do git ls-remote -q https://dev.azure.com/contoso/payments/_git/api >/dev/null || echo failed; echo asked; sleep 0.3; done';
    await createPod(buildPod(NAMESPACE, 'killed', { script: loop }));
    const path = `/api/v1/namespaces/${NAMESPACE}/pods/killed`;
    const countRestarts = async (): Promise<number> =>
      ((await api.get(path)) as { status: { initContainerStatuses?: { restartCount: number }[] } }).status
        .initContainerStatuses?.[0]?.restartCount ?? 0;
    const readLog = (): Promise<string> => api.logs(NAMESPACE, 'killed', 'app');
    const countAttempts = async (): Promise<number> => (await readLog()).split('asked').length - 1;
    await waitUntil('git works', async () => (await countAttempts()) > 0, { withinSeconds: 60 });
    const sidecar = ['-n', NAMESPACE, 'killed', '-c', SIDECAR_CONTAINER];
    const kill = run('kubectl', ['exec', ...sidecar, '--', '/nodejs/bin/node', '-e', 'process.kill(1)']);
    // The command ends with its container, and kubectl may then report a failure.
    await kill.catch(() => undefined);
    await waitUntil('the sidecar is restarted', async () => (await countRestarts()) > 0, { withinSeconds: 60 });
    const before = await countAttempts();
    await waitUntil('git works on', async () => (await countAttempts()) > before + 5);
    t.notMatch(await readLog(), 'failed', 'git never fails when its sidecar is killed and restarted');
  }

  async function quickDeletion(): Promise<void> {
    const path = `/api/v1/namespaces/${NAMESPACE}/pods`;
    const trap = 'trap "exit 0" TERM; while :; do sleep 0.05; done';
    const workload = { script: trap, spec: { terminationGracePeriodSeconds: 30 } };
    const seconds = { without: [] as number[], with: [] as number[] };
    for (let index = 0; index < DELETIONS; index += 1) {
      const annotations = { [INJECT]: 'disabled' };
      await createPod(buildPod(NAMESPACE, `without-${index}`, { ...workload, annotations }));
      await createPod(buildPod(NAMESPACE, `with-${index}`, workload));
      for (const kind of ['without', 'with'] as const) seconds[kind].push(await measure(`${kind}-${index}`));
    }
    const [without, withSidecar] = [percentile(seconds.without, 0.5), percentile(seconds.with, 0.5)];
    t.comment(
      `deletion of a pod, p50 of ${DELETIONS}: ${without.toFixed(1)} s without the sidecar, ${withSidecar.toFixed(1)} s with it`,
    );
    t.ok(withSidecar < without + 1, 'the sidecar delays a deletion by less than a second');

    async function measure(name: string): Promise<number> {
      const isRunning = async (): Promise<boolean> => {
        const { status } = (await api.get(`${path}/${name}`)) as { status: { phase: string } };
        return status.phase === 'Running';
      };
      await waitUntil(`${name} runs`, isRunning, { withinSeconds: 60 });
      const start = performance.now();
      await api.remove(`${path}/${name}`);
      await waitUntil(`${name} is gone`, async () => (await api.get(`${path}/${name}`)) === undefined, {
        withinSeconds: 40,
      });
      return (performance.now() - start) / 1000;
    }
  }
}

function buildLimits(namespace: string): KubernetesObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'quota', namespace },
      spec: { hard: { 'requests.cpu': '1', 'requests.memory': '1Gi', 'limits.cpu': '2', 'limits.memory': '1Gi' } },
    },
    {
      apiVersion: 'v1',
      kind: 'LimitRange',
      metadata: { name: 'limits', namespace },
      spec: {
        limits: [
          {
            type: 'Container',
            default: { 'ephemeral-storage': '1Gi' },
            max: { cpu: '1', memory: '512Mi', 'ephemeral-storage': '2Gi' },
          },
        ],
      },
    },
  ];
}

/** In the pod: users, security profiles, quotas, classes of service; and a sidecar that is killed. */
import type { Test } from 'tap';
import { type KubernetesObject, waitFor } from './api.js';
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

/** What pods are like, and what must be true of them afterwards. */
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
  'startup-wait': { workload: { script: CLONE, annotations: { 'ado-git.workload.identity/startup': 'wait' } } },
  'startup-require': { workload: { script: CLONE, annotations: { 'ado-git.workload.identity/startup': 'require' } } },
  'system-channel': { workload: { script: CLONE, annotations: { 'ado-git.workload.identity/git-config': 'system' } } },
  'file-channel': {
    workload: {
      script:
        'cd /data && env -i PATH="$PATH" HOME=/data GIT_SSL_CAINFO=/authority/ca.crt git clone -q https://dev.azure.com/contoso/payments/_git/api && echo cloned',
      annotations: { 'ado-git.workload.identity/git-config': 'file' },
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
  await killedSidecar();
  await quickDeletion();
  await removeNamespace(api, NAMESPACE);
  await removeNamespace(api, RESTRICTED);

  async function createPod(pod: KubernetesObject): Promise<void> {
    const { status, body } = await api.create(pod);
    t.equal(status, 201, `${pod.metadata.name ?? ''} is created: ${status === 201 ? '' : JSON.stringify(body)}`);
  }

  async function killedSidecar(): Promise<void> {
    const loop =
      'cd /data; while :; do git ls-remote -q https://dev.azure.com/contoso/payments/_git/api >/dev/null || echo failed; echo asked; sleep 0.3; done';
    await createPod(buildPod(NAMESPACE, 'killed', { script: loop }));
    const path = `/api/v1/namespaces/${NAMESPACE}/pods/killed`;
    const countRestarts = async (): Promise<number> =>
      ((await api.get(path)) as { status: { initContainerStatuses?: { restartCount: number }[] } }).status
        .initContainerStatuses?.[0]?.restartCount ?? 0;
    await waitFor('git works', 60, async () =>
      (await api.logs(NAMESPACE, 'killed', 'app')).includes('asked') ? true : undefined,
    );
    const sidecar = ['-n', NAMESPACE, 'killed', '-c', 'ado-git-identity'];
    const kill = run('kubectl', ['exec', ...sidecar, '--', '/nodejs/bin/node', '-e', 'process.kill(1)']);
    // What runs in a container may end with it, before it has said how it ended.
    await kill.catch(() => undefined);
    await waitFor('the sidecar comes back', 60, async () => ((await countRestarts()) > 0 ? true : undefined));
    const before = (await api.logs(NAMESPACE, 'killed', 'app')).length;
    await waitFor('git works on', 30, async () =>
      (await api.logs(NAMESPACE, 'killed', 'app')).length > before + 30 ? true : undefined,
    );
    t.notMatch(
      await api.logs(NAMESPACE, 'killed', 'app'),
      'failed',
      'a killed sidecar comes back, and git never fails',
    );
  }

  async function quickDeletion(): Promise<void> {
    const path = `/api/v1/namespaces/${NAMESPACE}/pods`;
    const trap = 'trap "exit 0" TERM; while :; do sleep 0.05; done';
    const workload = { script: trap, spec: { terminationGracePeriodSeconds: 30 } };
    const seconds = { without: [] as number[], with: [] as number[] };
    for (let index = 0; index < DELETIONS; index += 1) {
      const annotations = { 'ado-git.workload.identity/inject': 'disabled' };
      await createPod(buildPod(NAMESPACE, `without-${index}`, { ...workload, annotations }));
      await createPod(buildPod(NAMESPACE, `with-${index}`, workload));
      for (const kind of ['without', 'with'] as const) seconds[kind].push(await measure(`${kind}-${index}`));
    }
    const [without, withSidecar] = [percentile(seconds.without, 0.5), percentile(seconds.with, 0.5)];
    t.comment(
      `deletion of a pod, p50 of ${DELETIONS}: ${without.toFixed(1)} s without the sidecar, ${withSidecar.toFixed(1)} s with it`,
    );
    t.ok(withSidecar < without + 1, 'the sidecar slows a deletion by less than a second');

    async function measure(name: string): Promise<number> {
      await waitFor(`${name} runs`, 60, async () => {
        const { status } = (await api.get(`${path}/${name}`)) as { status: { phase: string } };
        return status.phase === 'Running' ? true : undefined;
      });
      const start = Date.now();
      await api.remove(`${path}/${name}`);
      await waitFor(`the end of ${name}`, 40, async () =>
        (await api.get(`${path}/${name}`)) === undefined ? true : undefined,
      );
      return (Date.now() - start) / 1000;
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

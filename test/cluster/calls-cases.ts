/** How often the API server calls the webhook: once for each pod that is created. The webhook's own counter says it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { ANNOTATION } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { Api, KubernetesObject } from './api.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  buildPod,
  buildTemplate,
  DEPLOYMENT,
  removeNamespace,
  SYSTEM_NAMESPACE,
  WEBHOOK_PODS,
  type Workload,
} from './installation.js';
import { isInjected } from './load.js';

const NAMESPACE = 'ado-git-calls';
const PODS = 8;
const HEALTH_PORT = 8080;
const SCRIPT = 'true';
/** No node has it: the pods are created, and never run. */
const NOWHERE = { nodeSelector: { 'cluster-tests': 'nowhere' } };
const STORAGE = { 'ephemeral-storage': '64Mi' };
const WITH_STORAGE = {
  requests: { cpu: '10m', memory: '32Mi', ...STORAGE },
  limits: { cpu: '500m', memory: '64Mi', ...STORAGE },
};

/** Pods of which the API server's own plugins, and our injection, make something different. */
const KINDS: Readonly<Record<string, Workload>> = {
  plain: { script: SCRIPT },
  'an init container': { script: SCRIPT, init: SCRIPT },
  'no API token': { script: SCRIPT, spec: { automountServiceAccountToken: false } },
  'host network': { script: SCRIPT, spec: { hostNetwork: true } },
  'startup wait': { script: SCRIPT, annotations: { [ANNOTATION.startup]: 'wait' } },
  'git-config system,file': { script: SCRIPT, annotations: { [ANNOTATION.gitConfig]: 'system,file' } },
  'resources of the pod': {
    script: SCRIPT,
    spec: { resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { cpu: '1', memory: '128Mi' } } },
  },
};

export async function callsCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  await waitUntil('a pod is injected', async () => isInjected((await create({ script: SCRIPT })).body));
  await waitUntil('no replica is being replaced', () => areSettled(api));
  await expectOne('default admission plugins', '');
  await api.apply(buildLimitRange({ cpu: '300m', memory: '128Mi' }));
  await waitUntil('the LimitRange counts', () => isDefaulted('memory'));
  await expectOne('a LimitRange of CPU and memory', '-limited');
  await api.apply(buildLimitRange({ cpu: '300m', memory: '128Mi', ...STORAGE }));
  await waitUntil('the changed LimitRange counts', () => isDefaulted('ephemeral-storage'));
  const calls = await count(() => createKind('plain', KINDS['plain'] ?? { script: SCRIPT }));
  t.comment(`a LimitRange of ephemeral-storage, which the sidecar does not set: ${calls} calls for one creation`);
  const annotations = { [ANNOTATION.sidecarResources]: JSON.stringify(WITH_STORAGE) };
  t.equal(
    await count(() => createKind('with storage', { script: SCRIPT, annotations })),
    1,
    'a LimitRange of ephemeral-storage, and a sidecar that sets it: one call',
  );
  await removeNamespace(api, NAMESPACE);

  async function expectOne(what: string, suffix: string): Promise<void> {
    for (const [kind, workload] of Object.entries(KINDS))
      t.equal(await count(() => createKind(kind, workload)), 1, `${what}, ${kind}: one call`);
    const bare = await count(() => createBare(`bare${suffix}`));
    t.equal(bare, PODS, `${what}: one call for each of ${PODS} bare pods`);
    const scaled = await count(() => createDeployment(`scaled${suffix}`));
    t.equal(scaled, PODS, `${what}: one call for each of ${PODS} pods of a Deployment`);
  }

  /** Calls of all replicas while the action runs. They are counted before they are answered, so that none comes later. */
  async function count(action: () => Promise<void>): Promise<number> {
    const before = await readCalls(api);
    await action();
    const after = await readCalls(api);
    if (String([...after.keys()]) !== String([...before.keys()]))
      throw new Error(`the replicas ${String([...before.keys()])} were replaced by ${String([...after.keys()])}`);
    const add = (calls: ReadonlyMap<string, number>): number => [...calls.values()].reduce((sum, one) => sum + one, 0);
    return add(after) - add(before);
  }

  function create(workload: Workload) {
    return api.create(buildPod(NAMESPACE, 'dry', workload), '?dryRun=All');
  }

  async function createKind(kind: string, workload: Workload): Promise<void> {
    const { status, body } = await create(workload);
    t.ok(isInjected(body), `${kind}: injected${status === 201 ? '' : `; ${JSON.stringify(body)}`}`);
    t.strictSame(listApiTokens(body), [], `${kind}: the sidecar holds no token of the API server`);
  }

  async function createBare(name: string): Promise<void> {
    const pods = Array.from({ length: PODS }, (_, index) =>
      buildPod(NAMESPACE, `${name}-${index}`, { script: SCRIPT, spec: NOWHERE }),
    );
    const answers = await Promise.all(pods.map((pod) => api.create(pod)));
    t.equal(answers.filter(({ body }) => isInjected(body)).length, PODS, `${name}: all are injected`);
  }

  async function createDeployment(name: string): Promise<void> {
    const template = buildTemplate({ script: SCRIPT, restartPolicy: 'Always', app: name, spec: NOWHERE });
    await api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: NAMESPACE },
      spec: { replicas: PODS, selector: { matchLabels: { app: name } }, template },
    });
    const list = async (): Promise<unknown[]> => {
      const path = `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app%3D${name}`;
      return ((await api.get(path)) as { items: unknown[] }).items;
    };
    await waitUntil(`the pods of ${name} are created`, async () => (await list()).length === PODS);
    t.ok((await list()).every(isInjected), `${name}: all are injected`);
  }

  /** Whether the LimitRange gives a container a limit of this resource. */
  async function isDefaulted(resource: string): Promise<boolean> {
    const { body } = await create({ script: SCRIPT });
    const { spec } = body as { spec: { containers: { resources: { limits?: Record<string, string> } }[] } };
    return spec.containers[0]?.resources.limits?.[resource] !== undefined;
  }
}

/** Mounts by which the API server's ServiceAccount admission gives the sidecar a token. */
function listApiTokens(pod: unknown): unknown[] {
  const { spec } = pod as { spec?: { initContainers?: { volumeMounts?: { name: string }[] }[] } };
  const mounts = spec?.initContainers?.[0]?.volumeMounts ?? [];
  return mounts.filter(({ name }) => name.startsWith('kube-api-access-'));
}

function buildLimitRange(defaults: Readonly<Record<string, string>>): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'defaults', namespace: NAMESPACE },
    spec: { limits: [{ type: 'Container', default: defaults, defaultRequest: { cpu: '20m', memory: '16Mi' } }] },
  };
}

interface Replica {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status: { readonly phase: string };
}

async function listReplicas(api: Api): Promise<readonly Replica[]> {
  const { items } = (await api.get(WEBHOOK_PODS)) as { items: Replica[] };
  // The pod of `helm test` has the same labels, and has ended.
  return items.filter(({ status }) => status.phase === 'Running');
}

async function areSettled(api: Api): Promise<boolean> {
  const { spec, status } = (await api.get(DEPLOYMENT)) as {
    spec: { replicas: number };
    status: { readyReplicas?: number };
  };
  const replicas = await listReplicas(api);
  return (
    replicas.length === spec.replicas &&
    status.readyReplicas === spec.replicas &&
    replicas.every(({ metadata }) => metadata.deletionTimestamp === undefined)
  );
}

/** Admission requests of each replica since it started. */
async function readCalls(api: Api): Promise<ReadonlyMap<string, number>> {
  const calls = new Map<string, number>();
  // Metrics are collected at most ten times a second.
  await sleep(200);
  for (const { metadata } of await listReplicas(api)) {
    const path = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods/${metadata.name}:${HEALTH_PORT}/proxy/metrics`;
    const { status, body } = await api.request('GET', path);
    if (status !== 200) throw new Error(`the metrics of ${metadata.name}: ${status} ${JSON.stringify(body)}`);
    const series = String(body).matchAll(/^ado_git_identity_admissions_total\{[^\n]*\} (\d+)$/gm);
    calls.set(
      metadata.name,
      [...series].reduce((sum, [, value]) => sum + Number(value), 0),
    );
  }
  return calls;
}

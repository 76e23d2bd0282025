/**
 * What others change in a pod that we have injected: a LimitRange, AlwaysPullImages, another team's webhook that is called
 * before ours or after it. They have the last word on the sidecar, our part stays, and the pods run.
 */
import type { Test } from 'tap';
import { DEFAULT_SIDECAR_PORT } from '../../src/defaults.js';
import { INJECT, OUR_VOLUMES, SIDECAR_CONTAINER } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  buildPod,
  IMAGE,
  loadImage,
  removeNamespace,
  restartApiServer,
  waitForEnd,
  type Workload,
  WORKLOAD_DIRECTORY,
  WORKLOAD_IMAGE,
} from './installation.js';
import {
  INIT_CONTAINER,
  mirrorOf,
  type Order,
  REWRITTEN,
  type SecondWebhook,
  startSecondWebhook,
} from './second-webhook.js';

const NAMESPACE = 'ado-git-others';
const STORAGE = { requests: { 'ephemeral-storage': '64Mi' }, limits: { 'ephemeral-storage': '256Mi' } };
const LIMIT_RANGE: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'LimitRange',
  metadata: { name: 'defaults', namespace: NAMESPACE },
  spec: {
    limits: [
      {
        type: 'Container',
        defaultRequest: { cpu: '30m', memory: '48Mi', ...STORAGE.requests },
        default: { cpu: '300m', memory: '128Mi', ...STORAGE.limits },
        max: { cpu: '1', memory: '512Mi', 'ephemeral-storage': '1Gi' },
      },
    ],
  },
};
const ALWAYS_PULL = '--enable-admission-plugins=AlwaysPullImages';
const CLONE = 'git clone -q https://dev.azure.com/contoso/payments/_git/api';
/** Both containers need our part. */
const WORKLOAD: Workload = { init: `${CLONE} /data/init`, script: `${CLONE} /data/app && echo cloned` };

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly imagePullPolicy?: string;
  readonly command?: readonly string[];
  readonly restartPolicy?: string;
  readonly env?: readonly { readonly name: string }[];
  readonly volumeMounts?: readonly { readonly name: string }[];
  readonly resources?: object;
}

interface Pod {
  readonly spec: { readonly containers: readonly Container[]; readonly initContainers?: readonly Container[] };
}

export async function othersCases(t: Test, { api, azure, address, root }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  await loadImage(mirrorOf(IMAGE), root);
  await loadImage(mirrorOf(WORKLOAD_IMAGE), WORKLOAD_DIRECTORY);
  const uninjected = buildPod(NAMESPACE, 'uninjected', { ...WORKLOAD, annotations: { [INJECT]: 'disabled' } });
  const injected = buildPod(NAMESPACE, 'injected', WORKLOAD);
  const alone = findSidecar(await waitUntil('a pod is injected', () => tryDry(injected)));
  await api.apply(LIMIT_RANGE);
  await t.test('a LimitRange', limitRange);
  const webhook = await startSecondWebhook(api, address, NAMESPACE);
  try {
    await t.test('another webhook is called after ours', (t) => called(t, 'after', webhook));
    if (process.env['CLUSTER_RESTART_APISERVER_COMMAND'] === undefined)
      t.comment('AlwaysPullImages: skipped, CLUSTER_RESTART_APISERVER_COMMAND is not set');
    else await t.test('AlwaysPullImages', (t) => alwaysPullImages(t, webhook));
    await t.test('another webhook is called before ours', (t) => called(t, 'before', webhook));
  } finally {
    await webhook.close();
  }
  await removeNamespace(api, NAMESPACE);

  async function limitRange(t: Test): Promise<void> {
    const isApplied = async (): Promise<boolean> =>
      JSON.stringify((await tryDry(uninjected))?.spec.containers[0]?.resources).includes('ephemeral-storage');
    await waitUntil('the LimitRange counts', isApplied);
    const sidecar = findSidecar(await createDry(injected));
    const { requests, limits } = alone.resources as { requests: object; limits: object };
    const expected = { requests: { ...requests, ...STORAGE.requests }, limits: { ...limits, ...STORAGE.limits } };
    t.same(sidecar.resources, expected, 'what it adds to the sidecar stays');
    t.same(selectOurs(sidecar), selectOurs(alone), 'our part is the same');
    await runs(t, 'limit-range');
  }

  async function called(t: Test, order: Order, webhook: SecondWebhook): Promise<void> {
    await change(webhook, order);
    const pod = await createDry(injected);
    t.same(listInit(pod), [SIDECAR_CONTAINER, INIT_CONTAINER, 'clone'], 'the sidecar is first, its own is next');
    const { requests, limits } = REWRITTEN.resources;
    const rewritten = {
      image: mirrorOf(IMAGE),
      resources: { requests: { ...STORAGE.requests, ...requests }, limits: { ...STORAGE.limits, ...limits } },
      securityContext: REWRITTEN.securityContext,
      livenessProbe: { tcpSocket: { port: DEFAULT_SIDECAR_PORT }, ...REWRITTEN.probe },
    };
    const sidecar = findSidecar(pod);
    t.match(sidecar, rewritten, 'what it set on the sidecar stays');
    t.match(sidecar, { livenessProbe: { httpGet: undefined } }, 'its probe alone stays');
    t.match(sidecar.env?.at(-1), REWRITTEN.env, 'its variable stays');
    t.same(selectOurs(sidecar), selectOurs(alone), 'our part of the sidecar is the same');
    for (const { name, env } of [...(pod.spec.initContainers?.slice(1) ?? []), ...pod.spec.containers])
      t.ok(
        env?.some(({ name }) => name.startsWith('GIT_CONFIG_')),
        `${name} is configured`,
      );
    await runs(t, `called-${order}`);
  }

  /** Without a registry the images can't be pulled, so that the pods are not run here. */
  async function alwaysPullImages(t: Test, webhook: SecondWebhook): Promise<void> {
    const isOn = async (): Promise<boolean | undefined> => {
      const pod = await tryDry(uninjected);
      return pod?.spec.containers.every(({ imagePullPolicy }) => imagePullPolicy === 'Always');
    };
    await change(webhook, 'after');
    try {
      await restartApiServer(api, ALWAYS_PULL);
      await waitUntil(`the API server runs with ${ALWAYS_PULL}`, isOn, { withinSeconds: 60 });
      const moved = await createDry(injected);
      t.same(listInit(moved), [SIDECAR_CONTAINER, INIT_CONTAINER, 'clone'], 'admitted with another webhook');
      t.equal(findSidecar(moved).imagePullPolicy, 'Always', 'a sidecar that is moved to the front is always pulled');
      await change(webhook, undefined);
      const sidecar = findSidecar(await createDry(injected));
      t.equal(sidecar.imagePullPolicy, 'Always', 'admitted alone');
      t.same(selectOurs(sidecar), selectOurs(alone), 'our part is the same');
    } finally {
      await restartApiServer(api);
    }
    const isOff = async (): Promise<boolean> => (await isOn()) === false;
    await waitUntil(`the API server runs without ${ALWAYS_PULL}`, isOff, { withinSeconds: 60 });
    // The scheduler and the kubelet come back later than the API server.
    await runs(t, 'after-restart', 120);
  }

  /** Registers the webhook in another order, or not at all; the API server learns of it through a watch. */
  async function change(webhook: SecondWebhook, order: Order | undefined): Promise<void> {
    const isCalled = async (): Promise<boolean | undefined> => {
      const pod = await tryDry(uninjected);
      return pod && pod.spec.initContainers?.[0]?.name === INIT_CONTAINER;
    };
    await webhook.unregister();
    await waitUntil('the other webhook is not called', async () => (await isCalled()) === false);
    if (order === undefined) return;
    await webhook.register(order);
    await waitUntil('the other webhook is called', isCalled);
  }

  async function runs(t: Test, name: string, withinSeconds?: number): Promise<void> {
    const { status, body } = await api.create(buildPod(NAMESPACE, name, WORKLOAD));
    t.equal(status, 201, `${name} is created: ${status === 201 ? '' : JSON.stringify(body)}`);
    if (status !== 201) return;
    t.match(
      await waitForEnd(api, NAMESPACE, name, withinSeconds),
      { phase: 'Succeeded', output: /cloned/ },
      `${name}: git works`,
    );
  }

  /** The pod as it would be created; `undefined` when it is refused. */
  async function tryDry(pod: KubernetesObject): Promise<Pod | undefined> {
    const { status, body } = await api.create(pod, '?dryRun=All');
    return status === 201 ? (body as Pod) : undefined;
  }

  async function createDry(pod: KubernetesObject): Promise<Pod> {
    const { status, body } = await api.create(pod, '?dryRun=All');
    if (status !== 201) throw new Error(`${pod.metadata.name ?? ''} is refused: ${JSON.stringify(body)}`);
    return body as Pod;
  }
}

function listInit({ spec }: Pod): string[] {
  return (spec.initContainers ?? []).map(({ name }) => name);
}

function findSidecar({ spec }: Pod): Container {
  const sidecar = spec.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
  if (sidecar === undefined) throw new Error(`there is no container ${SIDECAR_CONTAINER}`);
  return sidecar;
}

/** What is ours to keep on the sidecar; others may add to its lists. */
function selectOurs({ name, command, restartPolicy, env, volumeMounts }: Container): object {
  return {
    ...{ name, command, restartPolicy },
    env: env?.filter(({ name }) => name !== REWRITTEN.env.name),
    volumeMounts: volumeMounts?.filter(({ name }) => OUR_VOLUMES.has(name)),
  };
}

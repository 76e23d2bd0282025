/** With the Azure workload identity webhook, called after ours and before it: the pod gets what both add. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { GROUP, SIDECAR_CONTAINER, VOLUME } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import { compareWithAzureWebhook } from './azure-comparison.js';
import { type AzureWebhook, removeAzureWebhook } from './azure-webhook.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, removeNamespace, waitForEnd } from './installation.js';

const NAMESPACE = 'ado-git-azure';
const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
const AZURE_CONFIGURATION = 'azure-wi-webhook-mutating-webhook-configuration';
/** The API server calls configurations in the order of their names: this one before ours. */
const EARLY_CONFIGURATION = 'a-azure-wi-webhook';
/** Needs both: git's credentials, and the token that the Azure SDKs read. */
const SCRIPT =
  'cd /data && git clone -q https://dev.azure.com/contoso/payments/_git/api && test -s "$AZURE_FEDERATED_TOKEN_FILE" && echo both';

interface Container {
  readonly name: string;
  readonly env?: readonly { readonly name: string }[];
  readonly volumeMounts?: readonly { readonly name: string }[];
}

interface Pod {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly volumes: readonly { readonly name: string }[];
  };
}

export async function azureWebhookCases(t: Test, cluster: Cluster, webhook: AzureWebhook): Promise<void> {
  const { api, azure } = cluster;
  await remove();
  await addNamespace(api, azure, NAMESPACE);
  const expected = selectOurs(await createDry(buildPod(NAMESPACE, 'ours-only', { script: SCRIPT })));
  try {
    await compareWithAzureWebhook(t, cluster, webhook);
    await workTogether('ours is called first');
    await callEarlier();
    await workTogether('theirs is called first');
  } finally {
    await remove();
  }
  await removeNamespace(api, NAMESPACE);

  async function remove(): Promise<void> {
    await removeAzureWebhook(api);
    await api.remove(`${CONFIGURATIONS}/${EARLY_CONFIGURATION}`);
  }

  async function workTogether(order: string): Promise<void> {
    const together = await createDry(buildPod(NAMESPACE, 'together', { script: SCRIPT }));
    t.same(selectOurs(together), expected, `${order}: our part is the same as without theirs`);
    t.match(listNames(together.spec.containers[0]?.env), 'AZURE_CLIENT_ID', `${order}: theirs is there`);
    const annotations = { 'azure.workload.identity/inject-proxy-sidecar': 'true' };
    const proxied = await createDry(buildPod(NAMESPACE, 'proxied', { script: SCRIPT, annotations }));
    t.equal(proxied.spec.initContainers?.[0]?.name, SIDECAR_CONTAINER, `${order}: our sidecar is before their proxy`);
    t.match(listNames(proxied.spec.initContainers), 'azwi-proxy-init');
    const name = order.replaceAll(' ', '-');
    await api.create(buildPod(NAMESPACE, name, { script: SCRIPT }));
    const ended = await waitForEnd(api, NAMESPACE, name);
    t.match(ended, { phase: 'Succeeded', output: /both/ }, `${order}: git and the Azure SDKs' token work`);
  }

  async function callEarlier(): Promise<void> {
    const { metadata, ...others } = (await api.get(`${CONFIGURATIONS}/${AZURE_CONFIGURATION}`)) as KubernetesObject;
    const labels = metadata['labels'] as Record<string, string>;
    await api.create({ ...others, metadata: { name: EARLY_CONFIGURATION, labels } });
    await api.remove(`${CONFIGURATIONS}/${AZURE_CONFIGURATION}`);
    // The API server learns of changed configurations through a watch.
    await sleep(3000);
  }

  async function createDry(pod: KubernetesObject): Promise<Pod> {
    return waitUntil(`a dry run of ${pod.metadata.name ?? ''} succeeds`, async () => {
      const { status, body } = await api.create(pod, '?dryRun=All');
      return status === 201 ? (body as Pod) : undefined;
    });
  }
}

function listNames(items: readonly { readonly name: string }[] = []): string {
  return items.map(({ name }) => name).join(' ');
}

/** Our part of the pod, without what others may add to the same objects. */
function selectOurs({ metadata, spec }: Pod): object {
  const ours = new Set<string>(Object.values(VOLUME));
  const select = ({ env, volumeMounts, ...container }: Container): object => ({
    ...container,
    env: env?.filter(({ name }) => !name.startsWith('AZURE_')),
    volumeMounts: volumeMounts?.filter(({ name }) => ours.has(name)),
  });
  return {
    annotations: Object.entries(metadata.annotations ?? {}).filter(([key]) => key.startsWith(GROUP)),
    volumes: spec.volumes.filter(({ name }) => ours.has(name)),
    containers: spec.containers.map(select),
    sidecar: spec.initContainers?.slice(0, 1).map(select),
  };
}

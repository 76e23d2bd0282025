/** With the Azure workload identity webhook, called after ours and before it: the pod gets what both add. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { GROUP, INJECT, SIDECAR_CONTAINER, VOLUME } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import { TENANT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, removeNamespace, run, waitForEnd } from './installation.js';
import { measureAddedLatency, measureBurst } from './latency.js';
import { buildSmallPod } from './load.js';

const NAMESPACE = 'ado-git-azure';
const RELEASE = 'azure-workload-identity';
const AZURE_NAMESPACE = 'azure-workload-identity-system';
const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
const AZURE_CONFIGURATION = 'azure-wi-webhook-mutating-webhook-configuration';
const AZURE_ENTRY = 'mutation.azure-workload-identity.io';
/** The API server calls configurations in the order of their names: this one before ours. */
const EARLY_CONFIGURATION = 'a-azure-wi-webhook';
const SAMPLES = 500;
/** As many as of ours with ten thousand service accounts. */
const BURST = { count: 2_000, parallel: 100 };
/** Needs both: git's credentials, and the token that the Azure SDKs read. */
const SCRIPT =
  'cd /data && git clone -q https://dev.azure.com/contoso/payments/_git/api && test -s "$AZURE_FEDERATED_TOKEN_FILE" && echo both';

export interface AzureWebhook {
  readonly chart: string;
  /** Repository and tag. */
  readonly image: string;
}

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

export async function azureWebhookCases(t: Test, { api, azure }: Cluster, webhook: AzureWebhook): Promise<void> {
  await remove();
  await addNamespace(api, azure, NAMESPACE);
  const expected = selectOurs(await createDry(buildPod(NAMESPACE, 'ours-only', { script: SCRIPT })));
  try {
    await install();
    await workTogether('ours is called first');
    await latency();
    await callEarlier();
    await workTogether('theirs is called first');
  } finally {
    await remove();
  }
  await removeNamespace(api, NAMESPACE);

  async function install(): Promise<void> {
    const [repository = '', release = ''] = webhook.image.split(':');
    await run('helm', [
      ...[
        'upgrade',
        '--install',
        RELEASE,
        webhook.chart,
        '--namespace',
        AZURE_NAMESPACE,
        '--create-namespace',
        '--wait',
      ],
      ...['--set', `azureTenantID=${TENANT_ID},image.repository=${repository},image.release=${release}`],
      // With its own limits, a tenth of a core and 30 MiB, creations took ten seconds or failed under this load.
      ...['--set', 'resources.limits.cpu=1,resources.limits.memory=200Mi'],
    ]);
  }

  async function remove(): Promise<void> {
    await run('helm', ['uninstall', RELEASE, '--namespace', AZURE_NAMESPACE, '--wait', '--ignore-not-found']);
    await api.remove(`${CONFIGURATIONS}/${EARLY_CONFIGURATION}`);
    await removeNamespace(api, AZURE_NAMESPACE);
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

  async function latency(): Promise<void> {
    // Ours is called for neither.
    const labelled = buildSmallPod(NAMESPACE, 'latency', { annotations: { [INJECT]: 'disabled' } });
    const pods = { without: { ...labelled, metadata: { ...labelled.metadata, labels: {} } }, with: labelled };
    const created = await measureAddedLatency(api, pods, SAMPLES, AZURE_ENTRY);
    t.strictSame([created.without.length, created.with.length], [SAMPLES, SAMPLES], 'all are created');
    t.comment(`the Azure webhook adds to the creation of a pod, ${created.summary}`);
    const { summary, answers } = await measureBurst(api, () => labelled, BURST);
    t.equal(answers.filter(({ status }) => status === 201).length, BURST.count, 'all of a burst are created');
    t.comment(`the Azure webhook, a burst of ${summary}`);
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

/** The Azure workload identity webhook, from its own chart: `installAzureWebhook`, `removeAzureWebhook`, `readAzureCpuSeconds`. */
import type { Api } from './api.js';
import { TENANT_ID } from './azure.js';
import { removeNamespace, run } from './installation.js';

const RELEASE = 'azure-workload-identity';
const NAMESPACE = 'azure-workload-identity-system';
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const METRICS_PORT = 8095;
export const AZURE_ENTRY = 'mutation.azure-workload-identity.io';

export interface AzureWebhook {
  readonly chart: string;
  /** Repository and tag. */
  readonly image: string;
}

export interface AzureWebhookOptions {
  /** A namespace for whose pods it isn't called. */
  readonly excluded: string;
  /** Of each replica, as Kubernetes writes them; without them, the chart's own. */
  readonly limits?: { readonly cpu: string; readonly memory: string };
}

/** Installs or upgrades it, and waits until it serves. */
export async function installAzureWebhook(
  { chart, image }: AzureWebhook,
  { excluded, limits }: AzureWebhookOptions,
): Promise<void> {
  const [repository, release] = image.split(':');
  const names = { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [excluded] };
  const values = {
    azureTenantID: TENANT_ID,
    image: { repository, release },
    mutatingWebhookNamespaceSelector: { matchExpressions: [names] },
    ...(limits && { resources: { limits } }),
  };
  const where = ['--namespace', NAMESPACE, '--create-namespace', '--wait'];
  // JSON is YAML.
  const install = ['upgrade', '--install', RELEASE, chart, ...where, '--values', '-'];
  await run('helm', install, JSON.stringify(values));
}

export async function removeAzureWebhook(api: Api): Promise<void> {
  await run('helm', ['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait', '--ignore-not-found']);
  await removeNamespace(api, NAMESPACE);
}

interface Replica {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status: { readonly containerStatuses: readonly ContainerStatus[] };
}

interface ContainerStatus {
  readonly restartCount: number;
}

/** CPU time of all replicas since they started. */
export async function readAzureCpuSeconds(api: Api): Promise<number> {
  let seconds = 0;
  for (const { metadata } of await listReplicas(api)) {
    const { body } = await api.request('GET', `${PODS}/${metadata.name}:${METRICS_PORT}/proxy/metrics`);
    seconds += Number(/^process_cpu_seconds_total (\S+)$/m.exec(String(body))?.[1]);
  }
  return seconds;
}

/** How often its containers were started again, for instance because their memory was at its limit. */
export async function countAzureRestarts(api: Api): Promise<number> {
  const statuses = (await listReplicas(api)).flatMap(({ status }) => status.containerStatuses);
  return statuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

async function listReplicas(api: Api): Promise<Replica[]> {
  const { items } = (await api.get(PODS)) as { items: Replica[] };
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/**
 * The product in a real cluster, from its chart and its image. It needs kubectl, helm and these variables:
 * - KUBECONFIG;
 * - CLUSTER_AZURE_IP: an address for the emulators, to which the cluster resolves Azure's names;
 * - CLUSTER_IMAGE_COMMAND: builds an image and loads it; without it, kind's way.
 * Without these, the cases that need them are skipped:
 * - CLUSTER_RESTART_APISERVER_COMMAND: restarts the API server;
 * - CLUSTER_AZURE_WEBHOOK_CHART and _IMAGE: the Azure workload identity webhook, which is installed too.
 * TEST_SOAK=whole runs the long soaks instead, and measures the start of pods.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Api, connectApi } from './api.js';
import { type Azure, startAzure } from './azure.js';
import { azureWebhookCases } from './azure-webhook-cases.js';
import { disturbanceCases } from './disturbance-cases.js';
import { firstInstallCases } from './first-install-cases.js';
import { inputCases, uninstallCases } from './input-cases.js';
import { install, loadImages, uninstall } from './installation.js';
import { podCases } from './pod-cases.js';
import { providedCases } from './provided-cases.js';
import { scaleCases } from './scale-cases.js';
import { serveCases } from './serve-cases.js';
import { startCases } from './start-cases.js';
import { tokenCases } from './token-cases.js';
import { startTokenRenewal } from './token-renewal-cases.js';

export interface Cluster {
  readonly api: Api;
  readonly azure: Azure;
  /** The project's folder. */
  readonly root: string;
  /** Flags of every helm command. */
  readonly flags: readonly string[];
}

const QUICK = [{ tokenSeconds: 30, seconds: 90, outageSeconds: 8 }];
const WHOLE = [
  { tokenSeconds: 90, seconds: 300, outageSeconds: 38 },
  { tokenSeconds: 600, seconds: 600, outageSeconds: 120 },
];

const azureWebhook = {
  chart: process.env['CLUSTER_AZURE_WEBHOOK_CHART'],
  image: process.env['CLUSTER_AZURE_WEBHOOK_IMAGE'],
};
const address = process.env['CLUSTER_AZURE_IP'];
if (address === undefined || process.env['KUBECONFIG'] === undefined) {
  throw new Error('the cluster tests need KUBECONFIG and CLUSTER_AZURE_IP: see CONTRIBUTING.md');
}
const api = await connectApi();
const azure = await startAzure(api, address);
const cluster: Cluster = {
  api,
  azure,
  root: join(import.meta.dirname, '../..'),
  flags: ['--set', 'tls.managed.overlapSeconds=5'],
};
t.teardown(async () => {
  await uninstall(api);
  await azure.close();
  api.close();
});
await uninstall(api);
await loadImages();

if (process.env['TEST_SOAK'] === 'whole') await t.test('the long soaks', soak);
else await t.test('the product in a cluster', everything);

async function everything(t: Test): Promise<void> {
  await t.test('the first install', (t) => firstInstallCases(t, cluster));
  const finishTokenRenewal = await startTokenRenewal(cluster);
  await t.test('mistakes of users', (t) => inputCases(t, cluster));
  await t.test('pods of every kind', (t) => serveCases(t, cluster));
  await t.test('inside the pod', (t) => podCases(t, cluster));
  await t.test('tokens', (t) => tokenCases(t, cluster, QUICK));
  await t.test('disturbances', (t) => disturbanceCases(t, cluster));
  await t.test('ten thousand service accounts', (t) => scaleCases(t, cluster));
  const { chart, image } = azureWebhook;
  if (chart === undefined || image === undefined)
    t.comment('with the Azure webhook: skipped, CLUSTER_AZURE_WEBHOOK_CHART and _IMAGE are not set');
  else await t.test('with the Azure webhook', (t) => azureWebhookCases(t, cluster, { chart, image }));
  await t.test('the kubelet replaces a service account token', finishTokenRenewal);
  await t.test('after the uninstall', (t) => uninstallCases(t, cluster));
  await t.test('provided certificates', (t) => providedCases(t, cluster));
}

async function soak(t: Test): Promise<void> {
  await install(azure, ...cluster.flags);
  await t.test('the start of a pod', (t) => startCases(t, cluster));
  await t.test('tokens, whole', (t) => tokenCases(t, cluster, WHOLE));
}

/**
 * The product in a real cluster, from its chart and its image. Needs KUBECONFIG, kubectl and helm, an address for the
 * stand-ins to which the cluster resolves Azure's names (CLUSTER_AZURE_IP), and a command that builds and loads an image
 * (CLUSTER_IMAGE_COMMAND, kind's by default). TEST_SOAK=whole runs the long soaks and measures the start of pods;
 * CLUSTER_RESTART_APISERVER_COMMAND, if set, restarts the API server; CLUSTER_AZURE_WEBHOOK_CHART and _IMAGE, if set,
 * are the chart and the image of the Azure workload identity webhook that is installed beside ours.
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
  throw new Error('the cluster tests need KUBECONFIG and CLUSTER_AZURE_IP; CONTRIBUTING.md tells more');
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
  await t.test('what users get wrong', (t) => inputCases(t, cluster));
  await t.test('pods of every kind', (t) => serveCases(t, cluster));
  await t.test('in the pod', (t) => podCases(t, cluster));
  await t.test('tokens', (t) => tokenCases(t, cluster, QUICK));
  await t.test('nothing planned fails an admission', (t) => disturbanceCases(t, cluster));
  await t.test('ten thousand service accounts', (t) => scaleCases(t, cluster));
  const { chart, image } = azureWebhook;
  if (chart === undefined || image === undefined)
    t.comment('beside the Azure webhook: skipped, CLUSTER_AZURE_WEBHOOK_CHART and _IMAGE are not set');
  else await t.test('beside the Azure webhook', (t) => azureWebhookCases(t, cluster, { chart, image }));
  await t.test('service account tokens that the kubelet replaces', finishTokenRenewal);
  await t.test('after the uninstall', (t) => uninstallCases(t, cluster));
  await t.test('certificates of somebody else', (t) => providedCases(t, cluster));
}

async function soak(t: Test): Promise<void> {
  await install(azure, ...cluster.flags);
  await t.test('the start of a pod', (t) => startCases(t, cluster));
  await t.test('tokens, whole', (t) => tokenCases(t, cluster, WHOLE));
}

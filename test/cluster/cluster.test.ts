/**
 * The product in a real cluster, from its chart and its image. It needs kubectl, helm and these variables:
 * - KUBECONFIG;
 * - CLUSTER_AZURE_IP: an address for the emulators, to which the cluster resolves Azure's names;
 * - CLUSTER_IMAGE_COMMAND: builds an image and loads it; without it, kind's way.
 * Without these, the cases that need them are skipped:
 * - CLUSTER_RESTART_APISERVER_COMMAND: restarts the API server, with the flags that it is given;
 * - CLUSTER_AZURE_WEBHOOK_CHART and _IMAGE: the Azure workload identity webhook, which is installed too.
 * CLUSTER_CASES=calls,others runs these groups only, of CASES below.
 * TEST_SOAK=whole runs the long soaks instead, and measures the start of pods.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Api, connectApi } from './api.js';
import { attackCases } from './attack-cases.js';
import { type Azure, startAzure } from './azure.js';
import { azureWebhookCases } from './azure-webhook-cases.js';
import { callsCases } from './calls-cases.js';
import { disturbanceCases } from './disturbance-cases.js';
import { firstInstallCases } from './first-install-cases.js';
import { inputCases, uninstallCases } from './input-cases.js';
import { install, loadImages, uninstall } from './installation.js';
import { othersCases } from './others-cases.js';
import { podCases } from './pod-cases.js';
import { providedCases } from './provided-cases.js';
import { scaleCases } from './scale-cases.js';
import { serveCases } from './serve-cases.js';
import { startCases } from './start-cases.js';
import { strangersCases } from './strangers-cases.js';
import { symptomCases } from './symptom-cases.js';
import { tokenCases } from './token-cases.js';
import { startTokenRenewal } from './token-renewal-cases.js';

export interface Cluster {
  readonly api: Api;
  readonly azure: Azure;
  /** Of this machine; the cluster reaches it. */
  readonly address: string;
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

type Case = readonly [title: string, run: (t: Test) => Promise<void>];

const azureWebhook = {
  chart: process.env['CLUSTER_AZURE_WEBHOOK_CHART'],
  image: process.env['CLUSTER_AZURE_WEBHOOK_IMAGE'],
};
const address = process.env['CLUSTER_AZURE_IP'];
if (address === undefined || process.env['KUBECONFIG'] === undefined) {
  throw new Error('the cluster tests need KUBECONFIG and CLUSTER_AZURE_IP: see CONTRIBUTING.md');
}
const CASES: Readonly<Record<string, Case>> = {
  input: ['mistakes of users', (t) => inputCases(t, cluster)],
  symptoms: ['mistakes by symptom', (t) => symptomCases(t, cluster)],
  serve: ['pods of every kind', (t) => serveCases(t, cluster)],
  pods: ['inside the pod', (t) => podCases(t, cluster)],
  calls: ['one call for each pod', (t) => callsCases(t, cluster)],
  others: ['what others change', (t) => othersCases(t, cluster)],
  tokens: ['tokens', (t) => tokenCases(t, cluster, QUICK)],
  disturbances: ['disturbances', (t) => disturbanceCases(t, cluster)],
  strangers: ['callers that are not the API server', (t) => strangersCases(t, cluster)],
  attacks: ['under attack', (t) => attackCases(t, cluster)],
  scale: ['ten thousand service accounts', (t) => scaleCases(t, cluster)],
  azure: ['with the Azure webhook', withAzureWebhook],
};
const names = process.env['CLUSTER_CASES']?.split(',');
/** What runs in one installation, in this order. */
const cases = Object.entries(CASES).flatMap(([name, one]) => (names?.includes(name) === false ? [] : [one]));
if (cases.length < (names?.length ?? 0)) {
  throw new Error(`CLUSTER_CASES is ${String(names)}: name groups of ${Object.keys(CASES).join(', ')}, each once`);
}

const api = await connectApi();
const azure = await startAzure(api, address);
const cluster: Cluster = {
  api,
  azure,
  address,
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
else if (names !== undefined) await t.test(`only ${names.join(', ')}`, only);
else await t.test('the product in a cluster', everything);

async function everything(t: Test): Promise<void> {
  await t.test('the first install', (t) => firstInstallCases(t, cluster));
  const finishTokenRenewal = await startTokenRenewal(cluster);
  for (const [title, run] of cases) await t.test(title, run);
  await t.test('the kubelet replaces a service account token', finishTokenRenewal);
  await t.test('after the uninstall', (t) => uninstallCases(t, cluster));
  await t.test('provided certificates', (t) => providedCases(t, cluster));
}

async function only(t: Test): Promise<void> {
  await install(azure, ...cluster.flags);
  for (const [title, run] of cases) await t.test(title, run);
}

async function withAzureWebhook(t: Test): Promise<void> {
  const { chart, image } = azureWebhook;
  if (chart === undefined || image === undefined)
    t.comment('skipped, CLUSTER_AZURE_WEBHOOK_CHART and _IMAGE are not set');
  else await azureWebhookCases(t, cluster, { chart, image });
}

async function soak(t: Test): Promise<void> {
  await install(azure, ...cluster.flags);
  await t.test('the start of a pod', (t) => startCases(t, cluster));
  await t.test('tokens, whole', (t) => tokenCases(t, cluster, WHOLE));
}

/**
 * The product in a real cluster, from its chart and its image. Needs KUBECONFIG, kubectl and helm, an address for the
 * stand-ins to which the cluster resolves Azure's names (CLUSTER_AZURE_IP), and a command that builds and loads an image
 * (CLUSTER_IMAGE_COMMAND, kind's by default). TEST_SOAK=whole runs the long
 * soaks and measures the start of pods; CLUSTER_RESTART_APISERVER_COMMAND, if set, restarts the API server.
 */
import { join } from 'node:path';
import t from 'tap';
import { connectApi, type Api } from './api.js';
import { startAzure, type Azure } from './azure.js';
import { disturbanceCases } from './disturbance-cases.js';
import { inputCases, uninstallCases } from './input-cases.js';
import { install, loadImages, uninstall } from './installation.js';
import { podCases } from './pod-cases.js';
import { scaleCases } from './scale-cases.js';
import { serveCases } from './serve-cases.js';
import { startCases } from './start-cases.js';
import { tokenCases } from './token-cases.js';

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
await install(azure, ...cluster.flags);

const wholeSoak = process.env['TEST_SOAK'] === 'whole';
if (wholeSoak) {
  await t.test('the start of a pod', (t) => startCases(t, cluster));
  await t.test('tokens, whole', (t) => tokenCases(t, cluster, WHOLE));
} else {
  await t.test('what users get wrong', (t) => inputCases(t, cluster));
  await t.test('pods of every kind', (t) => serveCases(t, cluster));
  await t.test('in the pod', (t) => podCases(t, cluster));
  await t.test('tokens', (t) => tokenCases(t, cluster, QUICK));
  await t.test('nothing planned fails an admission', (t) => disturbanceCases(t, cluster));
  await t.test('ten thousand service accounts', (t) => scaleCases(t, cluster));
  await t.test('after the uninstall', (t) => uninstallCases(t, cluster));
}

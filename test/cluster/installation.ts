/** The product in the cluster: its image and chart, and the namespaces, service accounts and pods that it serves. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { AZURE_ANNOTATION, INJECT, USE_LABEL, WEBHOOK_NAME } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { Api, KubernetesObject } from './api.js';
import { type Azure, CLIENT_ID, TENANT_ID } from './azure.js';

const ROOT = join(import.meta.dirname, '../..');
const CHART = join(ROOT, 'charts/ado-git-identity');
export const RELEASE = 'ado-git-identity';
export const SYSTEM_NAMESPACE = 'ado-git-identity';
export const CONFIGURATION = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${WEBHOOK_NAME}`;
export const SECRET = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/secrets/${WEBHOOK_NAME}`;
export const DEPLOYMENT = `/apis/apps/v1/namespaces/${SYSTEM_NAMESPACE}/deployments/${WEBHOOK_NAME}`;
export const WEBHOOK_PODS = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods?labelSelector=app.kubernetes.io/name%3Dado-git-identity`;
export const IMAGE = 'cluster.local/ado-git-identity:test';
export const WORKLOAD_IMAGE = 'cluster.local/ado-git-workload:test';
export const WORKLOAD_DIRECTORY = join(import.meta.dirname, 'workload');

/** Runs a program and returns its output; throws with what it wrote unless its exit code is 0. */
export async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined).end(input);
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [code, output, errors] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${String(code)}: ${output}${errors}`);
  return output;
}

/** Builds an image of a folder and loads it into the cluster. */
export async function loadImage(tag: string, directory: string): Promise<void> {
  const command = process.env['CLUSTER_IMAGE_COMMAND'] ?? join(import.meta.dirname, 'kind-image.sh');
  const [program = '', ...words] = command.split(' ');
  await run(program, [...words, tag, directory]);
}

export async function loadImages(): Promise<void> {
  await loadImage(IMAGE, ROOT);
  await loadImage(WORKLOAD_IMAGE, WORKLOAD_DIRECTORY);
}

/** Installs or upgrades the chart, and waits until it serves. */
export async function install(azure: Azure, ...flags: readonly string[]): Promise<void> {
  await run('helm', [
    ...['upgrade', '--install', RELEASE, CHART, '--namespace', SYSTEM_NAMESPACE, '--create-namespace'],
    ...['--wait', '--timeout', '120s'],
    ...listValues(azure),
    ...flags,
  ]);
}

/** Renders the chart and applies it without Helm, as another field manager that takes over every field; waits until it serves. */
export async function applyRendered(api: Api, azure: Azure, ...flags: readonly string[]): Promise<void> {
  const { gitVersion } = (await api.get('/version')) as { gitVersion: string };
  const objects = await run('helm', [
    ...['template', RELEASE, CHART, '--namespace', SYSTEM_NAMESPACE, '--no-hooks', '--kube-version', gitVersion],
    ...listValues(azure),
    ...flags,
  ]);
  const apply = ['apply', '--server-side', '--force-conflicts', '--field-manager=gitops', '-f', '-'];
  await run('kubectl', apply, objects);
  await waitForRollout();
}

function listValues(azure: Azure): string[] {
  const [repository = '', tag = ''] = IMAGE.split(':');
  return [
    ...['--set', `image.repository=${repository}`, '--set', `image.tag=${tag}`, '--set', `azure.tenantId=${TENANT_ID}`],
    ...['--set-file', `sidecar.extraCa.pem=${azure.authorityFile}`],
  ];
}

/** The caBundle by which the API server verifies the webhook, base64. */
export async function readBundle(api: Api): Promise<string | undefined> {
  const { webhooks } = (await api.get(CONFIGURATION)) as { webhooks: { clientConfig: { caBundle?: string } }[] };
  return webhooks[0]?.clientConfig.caBundle;
}

/** Names of the replicas that serve, without the old ones, which drain. */
export async function listServing(api: Api): Promise<string[]> {
  const { items } = (await api.get(WEBHOOK_PODS)) as {
    items: { metadata: { name: string; deletionTimestamp?: string }; status: { phase: string } }[];
  };
  return items
    .filter(({ metadata, status }) => status.phase === 'Running' && metadata.deletionTimestamp === undefined)
    .map(({ metadata }) => metadata.name);
}

/** Waits until no old replica drains: until then some pods get the settings of before the upgrade. */
export async function waitForOldReplicas(api: Api): Promise<void> {
  const areGone = async (): Promise<boolean> => {
    const { items } = (await api.get(WEBHOOK_PODS)) as { items: { metadata: { deletionTimestamp?: string } }[] };
    return items.every(({ metadata }) => metadata.deletionTimestamp === undefined);
  };
  await waitUntil('the old replicas have ended', areGone, { withinSeconds: 120 });
}

/** The text of a file in a replica of the webhook; there, `/proc/1` is the webhook's process. */
export async function readOfWebhook(replica: string, path: string): Promise<string> {
  const print = `process.stdout.write(require('node:fs').readFileSync('${path}', 'utf8'))`;
  const command = ['/nodejs/bin/node', '-e', print];
  return run('kubectl', ['exec', '-n', SYSTEM_NAMESPACE, replica, '-c', 'webhook', '--', ...command]);
}

/** Restarts the webhook, one replica after the other; waits until all are ready. */
export async function restartWebhook(): Promise<void> {
  await run('kubectl', ['rollout', 'restart', '-n', SYSTEM_NAMESPACE, `deployment/${WEBHOOK_NAME}`]);
  await waitForRollout();
}

/**
 * Restarts the API server by CLUSTER_RESTART_APISERVER_COMMAND, and waits until it is ready.
 * @param flags that it has until its next restart.
 */
export async function restartApiServer(api: Api, ...flags: readonly string[]): Promise<void> {
  const [program = '', ...words] = (process.env['CLUSTER_RESTART_APISERVER_COMMAND'] ?? '').split(' ');
  await run(program, [...words, ...flags]);
  await waitUntil('the API server is ready', async () => (await api.request('GET', '/readyz')).status === 200, {
    withinSeconds: 90,
  });
}

async function waitForRollout(): Promise<void> {
  const deployment = ['-n', SYSTEM_NAMESPACE, `deployment/${WEBHOOK_NAME}`];
  await run('kubectl', ['rollout', 'status', ...deployment, '--timeout=180s']);
}

/** Uninstalls as users do; the release's namespace stays. */
export async function uninstallRelease(): Promise<void> {
  await run('helm', ['uninstall', RELEASE, '--namespace', SYSTEM_NAMESPACE, '--wait', '--ignore-not-found']);
}

export async function uninstall(api: Api): Promise<void> {
  await uninstallRelease();
  await removeNamespace(api, SYSTEM_NAMESPACE);
}

/** A namespace that is enabled, with a service account `builder` that has the identity, and the authority of the emulators for git. */
export async function addNamespace(
  api: Api,
  azure: Azure,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  await removeNamespace(api, name);
  azure.federate(name, 'builder');
  await api.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { [INJECT]: 'enabled', ...labels } } },
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'builder', namespace: name, annotations: { [AZURE_ANNOTATION.clientId]: CLIENT_ID } },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'authority', namespace: name },
      data: { 'ca.crt': azure.authorityPem },
    },
  );
}

export async function removeNamespace(api: Api, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${name}`;
  if ((await api.get(path)) === undefined) return;
  await api.remove(path);
  await waitUntil(`the namespace ${name} is gone`, async () => (await api.get(path)) === undefined, {
    withinSeconds: 90,
  });
}

export interface Workload {
  /** Shell script of the app. */
  readonly script: string;
  /** Shell script of an init container before it. */
  readonly init?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly container?: Readonly<Record<string, unknown>>;
  readonly restartPolicy?: 'Always' | 'Never' | 'OnFailure';
  /** Label by which a controller finds its pods. */
  readonly app?: string;
}

/** A pod template that runs git as a user's does; only the trust in the emulators is added. */
export function buildTemplate({
  script,
  init,
  annotations,
  spec,
  container,
  restartPolicy = 'Never',
  app = 'none',
}: Workload): Record<string, unknown> {
  const build = (name: string, text: string): Record<string, unknown> => ({
    name,
    image: WORKLOAD_IMAGE,
    imagePullPolicy: 'IfNotPresent',
    command: ['/bin/sh', '-ec', text],
    env: [
      { name: 'HOME', value: '/data' },
      { name: 'GIT_SSL_CAINFO', value: '/authority/ca.crt' },
    ],
    volumeMounts: [
      { name: 'work', mountPath: '/data' },
      { name: 'authority', mountPath: '/authority' },
    ],
    ...container,
  });
  return {
    metadata: { labels: { [USE_LABEL]: 'true', app }, ...(annotations && { annotations }) },
    spec: {
      serviceAccountName: 'builder',
      restartPolicy,
      terminationGracePeriodSeconds: 1,
      ...(init === undefined ? {} : { initContainers: [build('clone', init)] }),
      containers: [build('app', script)],
      volumes: [
        { name: 'work', emptyDir: {} },
        { name: 'authority', configMap: { name: 'authority' } },
      ],
      ...spec,
    },
  };
}

export function buildPod(namespace: string, name: string, workload: Workload): KubernetesObject {
  const { metadata, spec } = buildTemplate(workload) as { metadata: object; spec: object };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name, namespace }, spec };
}

/** Waits until the pod ends; returns its phase and the app's output. */
export async function waitForEnd(
  api: Api,
  namespace: string,
  pod: string,
  withinSeconds = 60,
): Promise<{ phase: string; output: string }> {
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}`;
  const phase = await waitUntil(
    `the pod ${pod} ends`,
    async () => {
      const { phase } = ((await api.get(path)) as { status: { phase: string } }).status;
      return phase === 'Succeeded' || phase === 'Failed' ? phase : undefined;
    },
    { withinSeconds, describe: () => api.get(path) },
  );
  return { phase, output: await api.logs(namespace, pod, 'app') };
}

/** What users see through the API server when they make a mistake: refusals, warnings, Events; and the uninstall. */
import type { Test } from 'tap';
import { ANNOTATION, AZURE_ANNOTATION, INJECT, USE_LABEL, WEBHOOK_NAME, WRITTEN_ANNOTATION } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { ApiAnswer } from './api.js';
import { CLIENT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  CONFIGURATION,
  removeNamespace,
  SECRET,
  SYSTEM_NAMESPACE,
  uninstallRelease,
} from './installation.js';
import { buildSmallPod, isInjected, type SmallPod } from './load.js';

const NAMESPACE = 'ado-git-input';
const OTHER_CLIENT_ID = '9d0c3b6e-1f2a-4b7c-8e5d-6a4b3c2d1e0f';

export async function inputCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  const dryRun = '?dryRun=All';
  const create = (pod: SmallPod) => api.create(buildSmallPod(NAMESPACE, 'input', pod), dryRun);
  const asking = (serviceAccount: string): SmallPod => ({ asksByName: true, serviceAccount });

  t.match(await create({ annotations: { [ANNOTATION.port]: '80' } }), {
    status: 422,
    body: { message: /port "80" is not a port from 1024 to 65535/ },
  });
  await api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'no-identity', namespace: NAMESPACE },
  });
  t.match(
    await create(asking('no-identity')),
    { status: 403, body: { message: /client-id.*kubectl annotate serviceaccount no-identity/ } },
    'a pod that asks by name is denied',
  );
  const admitted = await create({ serviceAccount: 'no-identity' });
  t.match(
    admitted,
    { status: 201, body: { spec: { initContainers: undefined } } },
    'a pod that only its namespace covers is admitted unchanged',
  );
  t.match(admitted.warnings.join(' '), 'kubectl annotate serviceaccount no-identity', 'with a warning');

  await api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'no-identity', namespace: NAMESPACE, annotations: { [AZURE_ANNOTATION.clientId]: CLIENT_ID } },
  });
  t.match(await create(asking('no-identity')), { status: 201 }, 'an account that was annotated a moment ago is served');

  t.match(
    await create(asking('missing')),
    { status: 403, body: { message: /serviceaccount "missing" not found/ } },
    'a service account that is missing',
  );
  const annotate = (clientId: string): Promise<void> =>
    api.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {
        name: 'missing',
        namespace: NAMESPACE,
        annotations: { [AZURE_ANNOTATION.clientId]: clientId },
      },
    });
  await annotate(CLIENT_ID);
  t.equal(readClientId(await create(asking('missing'))), CLIENT_ID, 'the next pod, after it was created, is injected');
  await annotate(OTHER_CLIENT_ID);
  const changed = performance.now();
  await waitUntil(
    'a pod has the changed identity',
    async () => readClientId(await create(asking('missing'))) === OTHER_CLIENT_ID,
  );
  const seconds = ((performance.now() - changed) / 1000).toFixed(1);
  t.pass(`when the identity is changed, later pods get the new one, here after ${seconds} s`);

  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'evented', namespace: NAMESPACE } });
  const labels = { app: 'evented', [USE_LABEL]: 'true' };
  const container = { name: 'app', image: 'x', imagePullPolicy: 'Never' };
  await api.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'evented', namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: { app: 'evented' } },
      template: { metadata: { labels }, spec: { serviceAccountName: 'evented', containers: [container] } },
    },
  });
  const event = await waitUntil('an Event', async () => {
    const { items } = (await api.get(`/api/v1/namespaces/${NAMESPACE}/events`)) as {
      items: {
        involvedObject: { kind: string };
        reason: string;
        message: string;
        source?: { component?: string };
        reportingComponent?: string;
      }[];
    };
    return items.find(({ message }) => message.includes('kubectl annotate serviceaccount evented'));
  });
  t.equal(event.involvedObject.kind, 'ReplicaSet', 'the Event is on the controlling owner');
  t.equal(event.reason, 'NoClientId');
  t.match(event.message, /^no-client-id: /);

  await api.apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: `${NAMESPACE}-out`, labels: { [INJECT]: 'yes' } },
  });
  await api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'builder', namespace: `${NAMESPACE}-out` },
  });
  const outside = await api.create(buildSmallPod(`${NAMESPACE}-out`, 'outside', { asksByName: true }), dryRun);
  t.equal(outside.status, 201, 'a namespace that is not enabled: the pod is created');
  t.notOk(isInjected(outside.body), 'it is not injected');
  t.strictSame(outside.warnings, [], 'and there is no warning');
  await removeNamespace(api, `${NAMESPACE}-out`);
  await removeNamespace(api, NAMESPACE);
}

function readClientId({ body }: ApiAnswer): string | undefined {
  const { metadata } = body as { metadata: { annotations?: Record<string, string> } };
  const status = metadata.annotations?.[WRITTEN_ANNOTATION.status] ?? '{}';
  return (JSON.parse(status) as { clientId?: string }).clientId;
}

export async function uninstallCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  await uninstallRelease();
  t.match(
    await api.create(buildSmallPod(NAMESPACE, 'after', { asksByName: true }), '?dryRun=All'),
    { status: 201 },
    'a labelled pod is created at once',
  );
  t.equal(await api.get(CONFIGURATION), undefined, 'no webhook configuration');
  t.equal(
    await api.get(`/apis/rbac.authorization.k8s.io/v1/clusterroles/${WEBHOOK_NAME}`),
    undefined,
    'no ClusterRole',
  );
  await waitUntil('the Secret is gone with its owner', async () => (await api.get(SECRET)) === undefined, {
    withinSeconds: 60,
  });
  t.match(
    await api.get(`/api/v1/namespaces/${SYSTEM_NAMESPACE}`),
    { status: { phase: 'Active' } },
    'not by the namespace',
  );
  await removeNamespace(api, NAMESPACE);
}

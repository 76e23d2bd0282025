/** What people get wrong, as the API server hands it on: refusals, warnings, Events; and what is gone after the uninstall. */
import type { Test } from 'tap';
import { INJECT, WEBHOOK_NAME, WRITTEN_ANNOTATION } from '../../src/names.js';
import { type ApiAnswer, waitFor } from './api.js';
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
import { buildSmallPod } from './load.js';

const NAMESPACE = 'ado-git-input';
const OTHER_CLIENT_ID = '9d0c3b6e-1f2a-4b7c-8e5d-6a4b3c2d1e0f';

export async function inputCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  const dryRun = '?dryRun=All';
  const create = (annotations: Record<string, string>, account = 'builder') => {
    const pod = buildSmallPod(NAMESPACE, 'input', annotations);
    return api.create({ ...pod, spec: { ...(pod['spec'] as object), serviceAccountName: account } }, dryRun);
  };

  t.match(await create({ 'ado-git.workload.identity/port': '80' }), {
    status: 422,
    body: { message: /port "80" is not a port from 1024 to 65535/ },
  });
  const coveredOnly = { [INJECT]: undefined as never };
  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'nobody', namespace: NAMESPACE } });
  t.match(
    await create({}, 'nobody'),
    { status: 403, body: { message: /client-id.*kubectl annotate serviceaccount nobody/ } },
    'asks by name: denied',
  );
  const admitted = await create(coveredOnly, 'nobody');
  t.match(
    admitted,
    { status: 201, body: { spec: { initContainers: undefined } } },
    'covered by its namespace only: admitted unchanged',
  );
  t.match(admitted.warnings.join(' '), 'kubectl annotate serviceaccount nobody', 'with a warning');

  await api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'nobody', namespace: NAMESPACE, annotations: { 'azure.workload.identity/client-id': CLIENT_ID } },
  });
  t.match(await create({}, 'nobody'), { status: 201 }, 'an account that has just been annotated is seen');

  t.match(
    await create({}, 'missing'),
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
        annotations: { 'azure.workload.identity/client-id': clientId },
      },
    });
  await annotate(CLIENT_ID);
  t.equal(readClientId(await create({}, 'missing')), CLIENT_ID, 'it is there for the next pod');
  await annotate(OTHER_CLIENT_ID);
  await waitFor('a pod with the changed identity', 2, async () =>
    readClientId(await create({}, 'missing')) === OTHER_CLIENT_ID ? true : undefined,
  );
  t.pass('it is changed between two pods: the second has the new identity');

  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'evented', namespace: NAMESPACE } });
  const labels = { app: 'evented', 'azure.workload.identity/use': 'true' };
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
  const event = await waitFor('an Event on the owner', 30, async () => {
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
  const outside = await api.create(buildSmallPod(`${NAMESPACE}-out`, 'outside'), dryRun);
  t.match(
    outside,
    { status: 201, warnings: [] },
    'a namespace that did not opt in: nothing is called and nothing said',
  );
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
    await api.create(buildSmallPod(NAMESPACE, 'after'), '?dryRun=All'),
    { status: 201 },
    'a labelled pod is created at once',
  );
  t.equal(await api.get(CONFIGURATION), undefined, 'no webhook configuration');
  t.equal(
    await api.get(`/apis/rbac.authorization.k8s.io/v1/clusterroles/${WEBHOOK_NAME}`),
    undefined,
    'no ClusterRole',
  );
  await waitFor('the Secret goes with its owner', 60, async () =>
    (await api.get(SECRET)) === undefined ? true : undefined,
  );
  t.match(await api.get(`/api/v1/namespaces/${SYSTEM_NAMESPACE}`), { status: { phase: 'Active' } }, 'by itself');
  await removeNamespace(api, NAMESPACE);
}

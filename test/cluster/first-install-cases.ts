/** An installation of which nothing was said yet: no tenant, no annotations; and more replicas than usual, all at once. */
import type { Test } from 'tap';
import { INJECT } from '../../src/names.js';
import { CLIENT_ID, TENANT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, DEPLOYMENT, install, readBundle, RELEASE, removeNamespace } from './installation.js';
import { run, SECRET, SYSTEM_NAMESPACE } from './installation.js';
import { buildSmallPod, isInjected, startLoad } from './load.js';

const NAMESPACE = 'ado-git-first';
const REPLICAS = 5;
const PER_SECOND = 10;

/** Ends with the installation that the other cases use. */
export async function firstInstallCases(t: Test, { api, azure, flags }: Cluster): Promise<void> {
  const annotate = (name: string, annotations: Record<string, string>): Promise<void> =>
    api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: NAMESPACE, annotations } });
  const client = { 'azure.workload.identity/client-id': CLIENT_ID };
  await addNamespace(api, azure, NAMESPACE);
  await annotate('builder', { ...client, 'azure.workload.identity/tenant-id': TENANT_ID });
  await annotate('untenanted', client);

  // The namespace asks for the webhook before there is one: with Ignore, as the documentation has it, nothing is refused.
  const load = startLoad(api, NAMESPACE, PER_SECOND);
  const first = ['--set', 'azure.tenantId=', '--set', `webhook.replicas=${REPLICAS}`];
  await install(azure, ...flags, ...first, '--set', 'webhook.failurePolicy=Ignore');
  const { status } = (await api.get(DEPLOYMENT)) as { status: { readyReplicas?: number } };
  t.equal(status.readyReplicas, REPLICAS, 'all replicas that started at once are ready');
  await install(azure, ...flags, ...first);
  const { asked, failures, missed } = await load.stop();
  t.comment(`the first install, of a namespace in use: ${asked} pods, ${failures.length} failed, ${missed} before it`);
  t.strictSame(failures.slice(0, 2), [], 'no creation fails');
  const { data } = (await api.get(SECRET)) as { data: Record<string, string> };
  t.equal(await readBundle(api), data['ca.crt'], 'the replicas agreed on one authority');

  const create = (annotations: Record<string, string>) => {
    const pod = buildSmallPod(NAMESPACE, 'first');
    const spec = { ...(pod['spec'] as object), serviceAccountName: 'untenanted' };
    return api.create({ ...pod, metadata: { ...pod.metadata, annotations }, spec }, '?dryRun=All');
  };
  const covered = await create({});
  t.match(covered, { status: 201 }, 'without a tenant, pods are created all the same');
  t.notOk(isInjected(covered.body));
  t.match(covered.warnings.join(' '), /tenant/, 'and a warning says what is missing');
  const asking = await create({ [INJECT]: 'enabled' });
  t.match(asking, { status: 403, body: { message: /tenant-id/ } }, 'who asks by name gets the sentence');

  const bundle = await readBundle(api);
  await install(azure, ...flags);
  t.equal(await readBundle(api), bundle, 'helm upgrade leaves the caBundle as it is');
  t.match(
    await run('helm', ['test', RELEASE, '--namespace', SYSTEM_NAMESPACE]),
    /Phase: +Succeeded/,
    'helm test finds that it works',
  );
  await removeNamespace(api, NAMESPACE);
}

/** An installation of which nothing was said yet: no tenant, no annotations; and more replicas than usual, all at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { INJECT } from '../../src/names.js';
import { CLIENT_ID, TENANT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  DEPLOYMENT,
  install,
  readBundle,
  RELEASE,
  removeNamespace,
  run,
  SECRET,
  SYSTEM_NAMESPACE,
} from './installation.js';
import { buildSmallPod, isInjected, type LoadResult, startLoad } from './load.js';

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
  const first = ['--set', 'azure.tenantId=', '--set', `webhook.replicas=${REPLICAS}`];
  const before = startLoad(api, NAMESPACE, PER_SECOND);
  await install(azure, ...flags, ...first, '--set', 'webhook.failurePolicy=Ignore');
  const { status } = (await api.get(DEPLOYMENT)) as { status: { readyReplicas?: number } };
  t.equal(status.readyReplicas, REPLICAS, 'all replicas that started at once are ready');
  report(await before.stop(), 'a first install with Ignore');
  const after = startLoad(api, NAMESPACE, PER_SECOND);
  await install(azure, ...flags, ...first);
  await sleep(3000);
  t.equal(report(await after.stop(), 'the step to Fail').missed, 0, 'from then on every pod is injected');
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

  function report(result: LoadResult, what: string): LoadResult {
    const { asked, failures, missed } = result;
    t.comment(`${what}, of a namespace in use: ${asked} pods, ${failures.length} failed, ${missed} not injected`);
    t.strictSame(failures.slice(0, 2), [], `${what}: no creation fails`);
    return result;
  }
}

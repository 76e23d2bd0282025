/** A first installation: no tenant is set yet, and more replicas than usual start at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { AZURE_ANNOTATION } from '../../src/names.js';
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
  const client = { [AZURE_ANNOTATION.clientId]: CLIENT_ID };
  await addNamespace(api, azure, NAMESPACE);
  await annotate('builder', { ...client, [AZURE_ANNOTATION.tenantId]: TENANT_ID });
  await annotate('untenanted', client);

  // The namespace is enabled before there is a webhook: with Ignore, as the documentation says, no pod is refused.
  const first = ['--set', 'azure.tenantId=', '--set', `webhook.replicas=${REPLICAS}`];
  const before = startLoad(api, NAMESPACE, PER_SECOND);
  await install(azure, ...flags, ...first, '--set', 'webhook.failurePolicy=Ignore');
  const { status } = (await api.get(DEPLOYMENT)) as { status: { readyReplicas?: number } };
  t.equal(status.readyReplicas, REPLICAS, 'all replicas that started at once are ready');
  report(await before.stop(), 'a first install with Ignore');
  const after = startLoad(api, NAMESPACE, PER_SECOND);
  await install(azure, ...flags, ...first);
  await sleep(3000);
  t.equal(report(await after.stop(), 'the step to Fail').notInjected, 0, 'from then on every pod is injected');
  const { data } = (await api.get(SECRET)) as { data: Record<string, string> };
  t.equal(await readBundle(api), data['ca.crt'], 'the replicas agreed on one authority');

  const create = (asksByName: boolean) =>
    api.create(buildSmallPod(NAMESPACE, 'first', { asksByName, serviceAccount: 'untenanted' }), '?dryRun=All');
  const covered = await create(false);
  t.match(covered, { status: 201 }, 'without a tenant, a pod that its namespace covers is created');
  t.notOk(isInjected(covered.body));
  t.match(covered.warnings.join(' '), /tenant/, 'and a warning says what is missing');
  const asking = await create(true);
  t.match(
    asking,
    { status: 403, body: { message: /tenant-id/ } },
    'one that asks by name is denied, with the same cause',
  );

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
    const { sent, failures, notInjected } = result;
    t.comment(`${what}, of a namespace in use: ${sent} pods, ${failures.length} failed, ${notInjected} not injected`);
    t.strictSame(failures.slice(0, 2), [], `${what}: no creation fails`);
    return result;
  }
}

/** Nothing planned that happens to the webhook fails an admission; each while 20 pods a second are created. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { GROUP, WEBHOOK_NAME } from '../../src/names.js';
import { waitFor } from './api.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  applyRendered,
  buildTemplate,
  CONFIGURATION,
  DEPLOYMENT,
  IMAGE,
  install,
  loadImage,
  readBundle,
  removeNamespace,
  restartWebhook,
  run,
  SECRET,
  SYSTEM_NAMESPACE,
} from './installation.js';
import { startLoad } from './load.js';

const NAMESPACE = 'ado-git-load';
const PER_SECOND = 20;

interface Allowed {
  readonly failures: number;
  /** After which none may fail any more. */
  readonly withinSeconds?: number;
}

export async function disturbanceCases(t: Test, cluster: Cluster): Promise<void> {
  const { api, azure } = cluster;
  await addNamespace(api, azure, NAMESPACE);
  // A controller that scales beside it: real pods, all the while.
  const template = buildTemplate({ script: 'sleep 600', restartPolicy: 'Always', app: 'scaled' });
  const scaled = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'scaled', namespace: NAMESPACE } };
  const scale = (replicas: number): Promise<void> =>
    api.apply({ ...scaled, spec: { replicas, selector: { matchLabels: { app: 'scaled' } }, template } });

  await disturb('rolling restart', restart);
  await disturb('rotation of the leaf', () => rotate('leaf'));
  await disturb('rotation of the CA', () => rotate('ca'));
  await disturb('helm upgrade to another image', upgrade);
  await disturb('deletion of the Secret', deleteSecret);
  await disturb('a Secret that was emptied', () => spoilSecret('emptied'));
  await disturb('a Secret filled with nonsense', () => spoilSecret('nonsense'));
  await disturb('the chart applied from the server side, by another than Helm', applyAsGitOps);
  await disturb('all rights taken away', withoutRights);
  await disturb('caBundle undone', undoBundle, { failures: Infinity });
  await disturb('kill -9 of a replica', kill, { failures: 5, withinSeconds: 2 });
  const command = process.env['CLUSTER_RESTART_APISERVER_COMMAND'];
  if (command === undefined)
    t.comment('restart of the API server: skipped, CLUSTER_RESTART_APISERVER_COMMAND is not set');
  else await disturb('restart of the API server', () => restartApiServer(command));
  await removeNamespace(api, NAMESPACE);

  async function disturb(what: string, action: () => Promise<void>, allowed: Allowed = { failures: 0 }): Promise<void> {
    const refusedBefore = await countRefusedReplicas();
    const load = startLoad(api, NAMESPACE, PER_SECOND);
    await sleep(1000);
    await scale(3);
    const begun = Date.now();
    await action();
    await scale(1);
    await sleep(3000);
    const { asked, failures, unanswered, missed } = await load.stop();
    t.comment(`${what}: ${asked} pods, ${failures.length} failed, ${missed} not injected, ${unanswered} unanswered`);
    t.ok(
      failures.length <= allowed.failures,
      `${what}: ${failures.length} failed admissions; ${JSON.stringify(failures.slice(0, 2))}`,
    );
    t.equal(missed, 0, `${what}: every pod was injected`);
    if (allowed.failures === 0)
      t.equal(await countRefusedReplicas(), refusedBefore, `${what}: no controller was refused a pod`);
    const { withinSeconds } = allowed;
    if (withinSeconds === undefined) return;
    const late = failures.filter(({ at }) => at > begun + withinSeconds * 1000);
    t.strictSame(late, [], `${what}: none fails later than ${withinSeconds} s after it`);
  }

  async function countRefusedReplicas(): Promise<number> {
    const { items } = (await api.get(`/api/v1/namespaces/${NAMESPACE}/events?fieldSelector=reason=FailedCreate`)) as {
      items: { count?: number }[];
    };
    return items.reduce((total, { count = 1 }) => total + count, 0);
  }

  async function restart(): Promise<void> {
    await restartWebhook();
    // The last of the old replicas is still draining.
    await sleep(12_000);
  }

  async function restartApiServer(command: string): Promise<void> {
    const [program = '', ...words] = command.split(' ');
    await run(program, words);
    await waitFor('the API server is back', 90, async () => {
      const answer = await api.request('GET', '/readyz').catch(() => undefined);
      return answer?.status === 200 ? true : undefined;
    });
    await sleep(15_000);
  }

  async function rotate(what: 'leaf' | 'ca'): Promise<void> {
    const before = await readSecret();
    const annotations = { [`${GROUP}/rotate`]: what };
    await api.request('PATCH', SECRET, { metadata: { annotations } }, 'application/merge-patch+json');
    await waitFor(
      `the rotation of the ${what}`,
      60,
      async () => {
        const secret = await readSecret();
        return secret.metadata.annotations?.[`${GROUP}/rotate`] === undefined &&
          JSON.stringify(secret.data) !== JSON.stringify(before.data)
          ? true
          : undefined;
      },
      readSecret,
    );
    await sleep(5000);
  }

  async function readSecret(): Promise<{
    metadata: { annotations?: Record<string, string> };
    data?: Record<string, string>;
  }> {
    return (await api.get(SECRET)) as Awaited<ReturnType<typeof readSecret>>;
  }

  async function upgrade(): Promise<void> {
    const [repository = ''] = IMAGE.split(':');
    await loadImage(`${repository}:next`, cluster.root);
    await install(azure, ...cluster.flags, '--set', 'image.tag=next');
    await sleep(12_000);
  }

  async function deleteSecret(): Promise<void> {
    await api.remove(SECRET);
    await waitFor('the Secret comes back', 90, async () => ((await api.get(SECRET)) === undefined ? undefined : true));
    await sleep(10_000);
  }

  async function spoilSecret(how: 'emptied' | 'nonsense'): Promise<void> {
    const before = await readSecret();
    const spoil = how === 'emptied' ? null : Buffer.from('nonsense').toString('base64');
    const data = Object.fromEntries(Object.keys(before.data ?? {}).map((key) => [key, spoil]));
    // The type demands its two keys, empty or not.
    const kept = how === 'emptied' ? { 'tls.crt': '', 'tls.key': '' } : {};
    const answer = await api.request('PATCH', SECRET, { data: { ...data, ...kept } }, 'application/merge-patch+json');
    t.equal(answer.status, 200, `the Secret is spoilt: ${how}`);
    await waitFor('the Secret is repaired', 30, async () => {
      const { data: now } = await readSecret();
      return now?.['tls.crt'] === before.data?.['tls.crt'] && now?.['ca.key'] === before.data?.['ca.key']
        ? true
        : undefined;
    });
    await sleep(5000);
  }

  /** As Argo CD and Flux do: rendered, and applied from the server side over whatever others own. */
  async function applyAsGitOps(): Promise<void> {
    const before = await readBundle(api);
    await applyRendered(api, azure, ...cluster.flags, '--set', 'image.tag=next');
    t.equal(await readBundle(api), before, 'the caBundle is not undone');
    await sleep(5000);
  }

  /** Replicas that may do nothing any more say so, and serve on with what they have. */
  async function withoutRights(): Promise<void> {
    const role = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${WEBHOOK_NAME}`;
    const binding = `/apis/rbac.authorization.k8s.io/v1/namespaces/${SYSTEM_NAMESPACE}/rolebindings/${WEBHOOK_NAME}`;
    await api.request('PATCH', role, [{ op: 'replace', path: '/rules', value: [] }], 'application/json-patch+json');
    await api.remove(binding);
    await sleep(10_000);
    const logs = await run('kubectl', [
      ...['logs', '-n', SYSTEM_NAMESPACE, '-l', 'app.kubernetes.io/name=ado-git-identity', '--since=15s'],
      '--tail=-1',
    ]);
    for (const object of [`the MutatingWebhookConfiguration ${WEBHOOK_NAME}`, `the Secret ${SYSTEM_NAMESPACE}/`])
      t.match(logs, new RegExp(`may not get ${object}.*run helm upgrade again`), `refused rights are said: ${object}`);
    await applyRendered(api, azure, ...cluster.flags, '--set', 'image.tag=next');
    await sleep(5000);
  }

  async function undoBundle(): Promise<void> {
    const before = await readBundle(api);
    await api.request(
      'PATCH',
      CONFIGURATION,
      [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }],
      'application/json-patch+json',
    );
    const start = Date.now();
    await waitFor('the caBundle is put back', 30, async () => ((await readBundle(api)) === before ? true : undefined));
    const seconds = (Date.now() - start) / 1000;
    t.comment(`a caBundle that was undone is put back after ${seconds.toFixed(1)} s`);
    t.ok(seconds <= 5, 'the caBundle is put back within five seconds');
  }

  /** From outside of its container: in there the first process is safe from SIGKILL. */
  async function kill(): Promise<void> {
    const [pid] = (await run('pgrep', ['-f', '/app/webhook.cjs'])).split('\n');
    process.kill(Number(pid), 'SIGKILL');
    await sleep(10_000);
    await waitFor('all replicas are ready', 60, async () => {
      const { status } = (await api.get(DEPLOYMENT)) as { status: { readyReplicas?: number; replicas: number } };
      return status.readyReplicas === status.replicas ? true : undefined;
    });
  }
}

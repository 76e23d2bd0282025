/** Nothing planned that happens to the webhook fails an admission; each while 20 pods a second are created. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { GROUP } from '../../src/names.js';
import { waitFor } from './api.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  buildTemplate,
  CONFIGURATION,
  DEPLOYMENT,
  IMAGE,
  install,
  loadImage,
  removeNamespace,
  restartWebhook,
  run,
  SECRET,
} from './installation.js';
import { startLoad, type LoadResult } from './load.js';

const NAMESPACE = 'ado-git-load';
const PER_SECOND = 20;

export async function disturbanceCases(t: Test, cluster: Cluster): Promise<void> {
  const { api, azure } = cluster;
  await addNamespace(api, azure, NAMESPACE);
  // A controller that scales beside it: real pods, all the while.
  const template = buildTemplate({ script: 'sleep 600', restartPolicy: 'Always', app: 'scaled' });
  const scaled = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'scaled', namespace: NAMESPACE } };
  const scale = (replicas: number): Promise<void> =>
    api.apply({ ...scaled, spec: { replicas, selector: { matchLabels: { app: 'scaled' } }, template } });

  await disturb('rolling restart', restart, 0);
  await disturb('rotation of the leaf', () => rotate('leaf'), 0);
  await disturb('rotation of the CA', () => rotate('ca'), 0);
  await disturb('helm upgrade to another image', upgrade, 0);
  await disturb('deletion of the Secret', deleteSecret, 0);
  await disturb('caBundle undone', undoBundle, Infinity);
  await disturb('kill -9 of a replica', kill, 5);
  const command = process.env['CLUSTER_RESTART_APISERVER_COMMAND'];
  if (command === undefined)
    t.comment('restart of the API server: skipped, CLUSTER_RESTART_APISERVER_COMMAND is not set');
  else await disturb('restart of the API server', () => restartApiServer(command), 0);
  await removeNamespace(api, NAMESPACE);

  async function disturb(what: string, action: () => Promise<void>, allowed: number): Promise<void> {
    const load = startLoad(api, NAMESPACE, PER_SECOND);
    await sleep(1000);
    await scale(3);
    await action();
    await scale(1);
    await sleep(3000);
    report(t, what, await load.stop(), allowed);
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

  async function undoBundle(): Promise<void> {
    const read = async (): Promise<string | undefined> =>
      ((await api.get(CONFIGURATION)) as { webhooks: { clientConfig: { caBundle?: string } }[] }).webhooks[0]
        ?.clientConfig.caBundle;
    const before = await read();
    await api.request(
      'PATCH',
      CONFIGURATION,
      [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }],
      'application/json-patch+json',
    );
    const start = Date.now();
    await waitFor('the caBundle is put back', 30, async () => ((await read()) === before ? true : undefined));
    const seconds = (Date.now() - start) / 1000;
    t.comment(`a caBundle that was undone is put back after ${seconds.toFixed(1)} s`);
    t.ok(seconds < 6, 'the caBundle is put back');
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

function report(t: Test, what: string, { asked, failures, unanswered, missed }: LoadResult, allowed: number): void {
  t.comment(`${what}: ${asked} pods, ${failures.length} failed, ${missed} not injected, ${unanswered} unanswered`);
  t.ok(failures.length <= allowed, `${what}: ${failures.length} failed admissions; ${failures.slice(0, 2).join(' ')}`);
  t.equal(missed, 0, `${what}: every pod was injected`);
}

/** Pods of every kind clone, push, fetch LFS objects and use a second organization. */
import type { Test } from 'tap';
import { ANNOTATION, SIDECAR_CONTAINER } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, buildTemplate, removeNamespace, waitForEnd, type Workload } from './installation.js';

const NAMESPACE = 'ado-git-serve';
const CLONE =
  'git clone -q https://dev.azure.com/contoso/payments/_git/api /data/init && test -f /data/init/src/main.txt';

/** Everything that git is used for; prints a last line that shows that nothing failed. */
const EVERYTHING = `
test -f /data/init/README.md
git config --global user.email me@contoso.example && git config --global user.name me
git clone -q --recurse-submodules https://contoso@dev.azure.com/contoso/payments/_git/api api
cd api && git checkout -q -b "$(cat /proc/sys/kernel/random/uuid)" && git commit -q --allow-empty -m pushed && git push -q origin HEAD && cd ..
git clone -q "https://contoso.visualstudio.com/Web%20Shop/_git/store%20front" shop
git lfs install --skip-repo >/dev/null && git clone -q https://dev.azure.com/contoso/assets/_git/assets assets
test "$(wc -c <assets/picture.bin)" -gt 10000
git clone -q https://dev.azure.com/fabrikam/platform/_git/tools tools
git clone -q git@ssh.dev.azure.com:v3/contoso/payments/library over-ssh
echo everything-worked`;

export async function serveCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await addNamespace(api, azure, NAMESPACE);
  const annotations = { [ANNOTATION.projects]: 'contoso/payments' };
  const once: Workload = { init: CLONE, script: `cd /data; ${EVERYTHING}`, annotations };
  const forEver: Workload = { ...once, script: `cd /data; ${EVERYTHING}; sleep 600`, restartPolicy: 'Always' };
  const objects = buildControllers(once, forEver);
  await api.apply(buildPod(NAMESPACE, 'bare', once), ...objects);
  for (const kind of ['bare', 'deployment', 'statefulset', 'daemonset', 'job', 'cronjob']) {
    const name = await waitUntil(`a pod of ${kind} starts`, () => findPod(kind), { withinSeconds: 90 });
    const readLog = (container: string): Promise<string> => api.logs(NAMESPACE, name, container);
    const hasWorked = async (): Promise<boolean> => (await readLog('app')).includes('everything-worked');
    const describe = async () => [await readLog('app'), await readLog(SIDECAR_CONTAINER)];
    await waitUntil(`git works in ${kind}`, hasWorked, { withinSeconds: 90, describe });
    t.pass(`${kind}: clone in an init container and in the app, push, LFS, two organizations, SSH rewritten`);
  }
  const ended = await waitForEnd(api, NAMESPACE, 'bare');
  t.equal(ended.phase, 'Succeeded', 'the sidecar does not keep a pod running after its app');
  const isComplete = async (): Promise<boolean> => {
    const job = (await api.get(`/apis/batch/v1/namespaces/${NAMESPACE}/jobs/job`)) as {
      status: { succeeded?: number };
    };
    return job.status.succeeded === 1;
  };
  await waitUntil('the job is complete', isComplete, { withinSeconds: 60 });
  t.pass('the job completes');
  await removeNamespace(api, NAMESPACE);

  async function findPod(kind: string): Promise<string | undefined> {
    const list = (await api.get(`/api/v1/namespaces/${NAMESPACE}/pods`)) as {
      items: { metadata: { name: string }; status: { containerStatuses?: { state: { waiting?: object } }[] } }[];
    };
    return list.items.find(
      ({ metadata, status }) =>
        (metadata.name === kind || metadata.name.startsWith(`${kind}-`)) &&
        status.containerStatuses?.[0]?.state.waiting === undefined &&
        status.containerStatuses !== undefined,
    )?.metadata.name;
  }
}

function buildControllers(once: Workload, forEver: Workload): KubernetesObject[] {
  const metadata = (name: string) => ({ name, namespace: NAMESPACE });
  const follow = (app: string) => ({
    selector: { matchLabels: { app } },
    template: buildTemplate({ ...forEver, app }),
  });
  return [
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: metadata('deployment'), spec: follow('deployment') },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: metadata('statefulset'),
      spec: { serviceName: 'x', ...follow('statefulset') },
    },
    { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: metadata('daemonset'), spec: follow('daemonset') },
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: metadata('job'),
      spec: { backoffLimit: 0, template: buildTemplate(once) },
    },
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: metadata('cronjob'),
      spec: { schedule: '* * * * *', jobTemplate: { spec: { backoffLimit: 0, template: buildTemplate(once) } } },
    },
  ];
}

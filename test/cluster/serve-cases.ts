/** Pods of every kind clone, push, fetch LFS objects and go to a second organization. */
import type { Test } from 'tap';
import { type KubernetesObject, waitFor } from './api.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, buildTemplate, removeNamespace, waitForEnd, type Workload } from './installation.js';

const NAMESPACE = 'ado-git-serve';
const CLONE =
  'git clone -q https://dev.azure.com/contoso/payments/_git/api /data/init && test -f /data/init/src/main.txt';

/** All that git is used for; ends with the word by which the test knows that it came to its end. */
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
  const annotations = { 'ado-git.workload.identity/projects': 'contoso/payments' };
  const once: Workload = { init: CLONE, script: `cd /data; ${EVERYTHING}`, annotations };
  const forEver: Workload = { ...once, script: `cd /data; ${EVERYTHING}; sleep 600`, restartPolicy: 'Always' };
  const objects = buildControllers(once, forEver);
  await api.apply(buildPod(NAMESPACE, 'bare', once), ...objects);
  for (const kind of ['bare', 'deployment', 'statefulset', 'daemonset', 'job', 'cronjob']) {
    const name = await waitFor(`a pod of ${kind}`, 90, async () => findPod(kind));
    const output = await waitFor(
      `${kind} comes to its end`,
      90,
      async () => {
        const text = await api.logs(NAMESPACE, name, 'app');
        return text.includes('everything-worked') ? text : undefined;
      },
      async () => [await api.logs(NAMESPACE, name, 'app'), await api.logs(NAMESPACE, name, 'ado-git-identity')],
    );
    t.match(
      output,
      'everything-worked',
      `${kind}: clone in an init container and in the app, push, LFS, two organizations, SSH rewritten`,
    );
  }
  const ended = await waitForEnd(api, NAMESPACE, 'bare');
  t.equal(ended.phase, 'Succeeded', 'the sidecar does not hold a pod that has ended');
  await waitFor('the end of the job', 60, async () => {
    const job = (await api.get(`/apis/batch/v1/namespaces/${NAMESPACE}/jobs/job`)) as {
      status: { succeeded?: number };
    };
    return job.status.succeeded === 1 ? true : undefined;
  });
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

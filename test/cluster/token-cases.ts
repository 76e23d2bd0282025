/** Tokens that end under running pods, and an Entra that is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { waitFor } from './api.js';
import { TOKEN_SECONDS } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, removeNamespace, waitForEnd } from './installation.js';

const NAMESPACE = 'ado-git-tokens';
const REMOTE = 'https://dev.azure.com/contoso/payments/_git/api';

export interface Soak {
  /** Life of the tokens, seconds. */
  readonly tokenSeconds: number;
  readonly seconds: number;
  /** How long Entra answers 503, from the moment a renewal is due. */
  readonly outageSeconds: number;
}

export async function tokenCases(t: Test, cluster: Cluster, soaks: readonly Soak[]): Promise<void> {
  const { api, azure } = cluster;
  await addNamespace(api, azure, NAMESPACE);
  for (const soak of soaks) await holdOut(t, cluster, soak);
  azure.entra.setTokenLifetime(TOKEN_SECONDS);
  await entraAway(t, cluster);
  await wrongSubject(t, cluster);
  await removeNamespace(api, NAMESPACE);
}

/** git asks each second, while tokens end and Entra goes away just when a renewal is due. */
async function holdOut(
  t: Test,
  { api, azure }: Cluster,
  { tokenSeconds, seconds, outageSeconds }: Soak,
): Promise<void> {
  azure.entra.setTokenLifetime(tokenSeconds);
  const name = `soak-${tokenSeconds}`;
  const script = `for i in $(seq ${seconds}); do git ls-remote -q ${REMOTE} >/dev/null && echo good || echo bad; sleep 1; done`;
  await api.create(buildPod(NAMESPACE, name, { script }));
  const asked = azure.entra.requests.length;
  await waitFor('the first token', 60, () => Promise.resolve(azure.entra.requests.length > asked ? true : undefined));
  // Half the life is the earliest renewal of a short token.
  await sleep((Math.max(tokenSeconds / 2, Math.min(tokenSeconds * 0.8, tokenSeconds - 300)) - 1) * 1000);
  azure.entra.goDown({ kind: 'status', status: 503 });
  await sleep(outageSeconds * 1000);
  azure.entra.comeBack();
  const { output } = await waitForEnd(api, NAMESPACE, name, seconds * 3 + 60);
  const count = (word: string): number => output.split('\n').filter((line) => line === word).length;
  t.comment(
    `tokens of ${tokenSeconds} s, ${outageSeconds} s of 503 when a renewal was due: ${count('good')} good, ${count('bad')} bad`,
  );
  t.match({ good: count('good'), bad: count('bad') }, { good: seconds, bad: 0 });
}

async function entraAway(t: Test, { api, azure }: Cluster): Promise<void> {
  azure.entra.goDown({ kind: 'status', status: 503 });
  const ask = `start=$(date +%s); git ls-remote ${REMOTE} 2>&1 || true; echo "waited $(($(date +%s) - start))"`;
  await api.create(buildPod(NAMESPACE, 'git-waits', { script: ask }));
  await api.create(buildPod(NAMESPACE, 'no-git', { script: 'echo ran' }));
  await api.create(
    buildPod(NAMESPACE, 'waits', { script: 'echo ran', annotations: { 'ado-git.workload.identity/startup': 'wait' } }),
  );
  await api.create(
    buildPod(NAMESPACE, 'requires', {
      script: 'echo ran',
      annotations: { 'ado-git.workload.identity/startup': 'require' },
    }),
  );
  t.match(
    await waitForEnd(api, NAMESPACE, 'no-git', 20),
    { phase: 'Succeeded' },
    'a pod that uses no git is held up by nothing',
  );
  const { output } = await waitForEnd(api, NAMESPACE, 'git-waits', 90);
  t.match(output, /503/, 'git says why');
  const waited = Number(/waited (\d+)/.exec(output)?.[1]);
  t.ok(waited >= 50 && waited <= 66, `git waited ${waited} s`);
  t.match(
    await waitForEnd(api, NAMESPACE, 'waits', 40),
    { phase: 'Succeeded' },
    'with wait, containers start after 60 s',
  );
  const requires = (await api.get(`/api/v1/namespaces/${NAMESPACE}/pods/requires`)) as {
    status: { containerStatuses: { state: object }[] };
  };
  t.match(requires.status.containerStatuses[0]?.state, { waiting: {} }, 'with require, they do not start');
  azure.entra.comeBack();
  t.match(await waitForEnd(api, NAMESPACE, 'requires', 60), { phase: 'Succeeded' }, 'they start with the first token');
}

async function wrongSubject(t: Test, { api }: Cluster): Promise<void> {
  const account = {
    name: 'stranger',
    namespace: NAMESPACE,
    annotations: { 'azure.workload.identity/client-id': '2b6f7a10-5c4d-4e8f-9a3b-1d2c3e4f5a6b' },
  };
  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
  await api.create(
    buildPod(NAMESPACE, 'wrong-subject', {
      script: `git ls-remote ${REMOTE} 2>&1 || true`,
      spec: { serviceAccountName: 'stranger' },
    }),
  );
  const { output } = await waitForEnd(api, NAMESPACE, 'wrong-subject', 30);
  t.match(
    output,
    `system:serviceaccount:${NAMESPACE}:stranger`,
    'git ends at once with the subject that must be federated',
  );
}

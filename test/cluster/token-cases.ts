/** Tokens that expire in running pods, and outages of Entra. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { ANNOTATION, AZURE_ANNOTATION } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import { CLIENT_ID, TOKEN_SECONDS } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, removeNamespace, waitForEnd } from './installation.js';

const NAMESPACE = 'ado-git-tokens';
const REMOTE = 'https://dev.azure.com/contoso/payments/_git/api';

export interface Soak {
  /** Life of the tokens. */
  readonly tokenSeconds: number;
  readonly seconds: number;
  /** How long Entra answers 503, from the moment a renewal is due. */
  readonly outageSeconds: number;
}

export async function tokenCases(t: Test, cluster: Cluster, soaks: readonly Soak[]): Promise<void> {
  const { api, azure } = cluster;
  await addNamespace(api, azure, NAMESPACE);
  for (const soak of soaks) await runSoak(t, cluster, soak);
  azure.entra.setTokenLifetime(TOKEN_SECONDS);
  await runWithoutEntra(t, cluster);
  await runWithWrongSubject(t, cluster);
  await removeNamespace(api, NAMESPACE);
}

/** git runs each second, while tokens expire and Entra fails from the moment at which a renewal is due. */
async function runSoak(
  t: Test,
  { api, azure }: Cluster,
  { tokenSeconds, seconds, outageSeconds }: Soak,
): Promise<void> {
  azure.entra.setTokenLifetime(tokenSeconds);
  const name = `soak-${tokenSeconds}`;
  const script = `for i in $(seq ${seconds}); do git ls-remote -q ${REMOTE} >/dev/null && echo good || echo bad; sleep 1; done`;
  await api.create(buildPod(NAMESPACE, name, { script }));
  const before = azure.entra.requests.length;
  await waitUntil('the first exchange', () => azure.entra.requests.length > before, { withinSeconds: 60 });
  // Half the life is the earliest renewal of a short token.
  await sleep((Math.max(tokenSeconds / 2, Math.min(tokenSeconds * 0.8, tokenSeconds - 300)) - 1) * 1000);
  azure.entra.injectFault({ kind: 'status', status: 503 });
  await sleep(outageSeconds * 1000);
  azure.entra.recover();
  const { output } = await waitForEnd(api, NAMESPACE, name, seconds * 3 + 60);
  const count = (word: string): number => output.split('\n').filter((line) => line === word).length;
  t.comment(
    `tokens of ${tokenSeconds} s, ${outageSeconds} s of 503 when a renewal was due: ${count('good')} good, ${count('bad')} bad`,
  );
  t.match({ good: count('good'), bad: count('bad') }, { good: seconds, bad: 0 }, 'git never fails');
}

async function runWithoutEntra(t: Test, { api, azure }: Cluster): Promise<void> {
  azure.entra.injectFault({ kind: 'status', status: 503 });
  const ask = `start=$(date +%s); git ls-remote ${REMOTE} 2>&1 || true; echo "waited $(($(date +%s) - start))"`;
  await api.create(buildPod(NAMESPACE, 'git-waits', { script: ask }));
  await api.create(buildPod(NAMESPACE, 'no-git', { script: 'echo ran' }));
  await api.create(buildPod(NAMESPACE, 'waits', { script: 'echo ran', annotations: { [ANNOTATION.startup]: 'wait' } }));
  await api.create(
    buildPod(NAMESPACE, 'requires', {
      script: 'echo ran',
      annotations: { [ANNOTATION.startup]: 'require' },
    }),
  );
  t.match(
    await waitForEnd(api, NAMESPACE, 'no-git', 45),
    { phase: 'Succeeded' },
    'a pod that does not use git does not wait for the token',
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
  azure.entra.recover();
  t.match(await waitForEnd(api, NAMESPACE, 'requires', 60), { phase: 'Succeeded' }, 'they start with the first token');
}

async function runWithWrongSubject(t: Test, { api }: Cluster): Promise<void> {
  const account = {
    name: 'not-federated',
    namespace: NAMESPACE,
    annotations: { [AZURE_ANNOTATION.clientId]: CLIENT_ID },
  };
  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
  await api.create(
    buildPod(NAMESPACE, 'wrong-subject', {
      script: `git ls-remote ${REMOTE} 2>&1 || true`,
      spec: { serviceAccountName: 'not-federated' },
    }),
  );
  const { output } = await waitForEnd(api, NAMESPACE, 'wrong-subject', 30);
  t.match(
    output,
    `system:serviceaccount:${NAMESPACE}:not-federated`,
    'git ends at once and names the subject that must be federated',
  );
}

/** The kubelet replaces a projected service account token while the pod runs: the sidecar exchanges the new one. */
import type { Test } from 'tap';
import { AZURE_ANNOTATION, INJECT, SIDECAR_CONTAINER, VOLUME } from '../../src/names.js';
import { waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import { ROTATED_CLIENT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, removeNamespace } from './installation.js';

const NAMESPACE = 'ado-git-renewal';
/** The shortest life that an API server issues; the kubelet replaces the token at 80 % of it. */
const TOKEN_SECONDS = 600;
/** How long after the end of the first token an exchange may come. */
const WAIT_SECONDS = 300;

/**
 * Starts the pod, which runs while other cases do.
 * @returns a function that waits for the end of the first token and checks the exchanges.
 */
export async function startTokenRenewal({ api, azure }: Cluster): Promise<(t: Test) => Promise<void>> {
  await addNamespace(api, azure, NAMESPACE);
  await api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: 'builder',
      namespace: NAMESPACE,
      annotations: { [AZURE_ANNOTATION.clientId]: ROTATED_CLIENT_ID },
    },
  });
  azure.federate(NAMESPACE, 'builder', ROTATED_CLIENT_ID);
  const remote = 'https://dev.azure.com/contoso/payments/_git/api';
  const script = `while :; do git ls-remote -q ${remote} >/dev/null && echo good || echo bad; sleep 5; done`;
  const startSeconds = Date.now() / 1000;
  await createWithShortToken(buildPod(NAMESPACE, 'renewed', { script }));

  return async (t) => {
    const endSeconds = startSeconds + TOKEN_SECONDS;
    const findExchanges = () =>
      azure.entra.requests.filter(({ clientId, outcome }) => clientId === ROTATED_CLIENT_ID && outcome !== 'fault');
    await waitUntil(
      'an exchange after the end of the first service account token',
      () => findExchanges().some(({ atMs }) => atMs / 1000 > endSeconds),
      {
        withinSeconds: Math.max(0, endSeconds - Date.now() / 1000) + WAIT_SECONDS,
        describe: async () => [findExchanges().at(-1), await api.logs(NAMESPACE, 'renewed', SIDECAR_CONTAINER)],
      },
    );
    const exchanges = findExchanges();
    const issued = [...new Set(exchanges.map(({ assertionIssuedAtSeconds }) => assertionIssuedAtSeconds))];
    t.comment(
      `service account tokens of ${TOKEN_SECONDS} s: ${exchanges.length} exchanges, with ${issued.length} tokens of the kubelet`,
    );
    t.ok(issued.length > 1, 'the sidecar has read the new token');
    t.same([...new Set(exchanges.map(({ outcome }) => outcome))], ['token'], 'Entra refused none');
    t.match((await api.logs(NAMESPACE, 'renewed', 'app')).trim().split('\n').at(-1), 'good', 'git still works');
    await removeNamespace(api, NAMESPACE);
  };

  /** Creates the pod as the webhook injects it, but with a projected token that is shorter than the annotation allows. */
  async function createWithShortToken(pod: KubernetesObject): Promise<void> {
    const { body } = await api.create(pod, '?dryRun=All');
    const { metadata, spec } = body as {
      metadata: { labels: object; annotations: Record<string, string> };
      spec: { volumes: { name: string; projected?: { sources: { serviceAccountToken?: object }[] } }[] };
    };
    const volumes = spec.volumes.map((volume) =>
      volume.name === VOLUME.token
        ? {
            ...volume,
            projected: {
              ...volume.projected,
              sources: volume.projected?.sources.map(({ serviceAccountToken }) => ({
                serviceAccountToken: { ...serviceAccountToken, expirationSeconds: TOKEN_SECONDS },
              })),
            },
          }
        : volume,
    );
    const { labels, annotations } = metadata;
    await api.apply({
      ...pod,
      metadata: { ...pod.metadata, labels, annotations: { ...annotations, [INJECT]: 'disabled' } },
      spec: { ...spec, volumes },
    });
  }
}

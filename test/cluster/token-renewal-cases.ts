/** The kubelet replaces a projected service account token while the pod runs: the sidecar exchanges the new one. */
import type { Test } from 'tap';
import { INJECT, VOLUME } from '../../src/names.js';
import { type KubernetesObject, waitFor } from './api.js';
import { ROTATED_CLIENT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildPod, removeNamespace } from './installation.js';

const NAMESPACE = 'ado-git-renewal';
/** The shortest that an API server issues; the kubelet replaces the token at 80 % of it. */
const TOKEN_SECONDS = 600;
/** From the kubelet's first look after 80 % to the exchange after the end of the first token. */
const WAIT_SECONDS = 300;

/**
 * Starts the pod; it does its work beside other cases.
 * @returns waits for the end of the first token and checks what was exchanged.
 */
export async function startTokenRenewal({ api, azure }: Cluster): Promise<(t: Test) => Promise<void>> {
  await addNamespace(api, azure, NAMESPACE);
  await api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: 'builder',
      namespace: NAMESPACE,
      annotations: { 'azure.workload.identity/client-id': ROTATED_CLIENT_ID },
    },
  });
  azure.federate(NAMESPACE, 'builder', ROTATED_CLIENT_ID);
  const remote = 'https://dev.azure.com/contoso/payments/_git/api';
  const script = `while :; do git ls-remote -q ${remote} >/dev/null && echo good || echo bad; sleep 5; done`;
  const begun = Date.now() / 1000;
  await shorten(buildPod(NAMESPACE, 'renewed', { script }));

  return async (t) => {
    const end = begun + TOKEN_SECONDS;
    const findExchanges = () =>
      azure.entra.requests.filter(({ clientId, outcome }) => clientId === ROTATED_CLIENT_ID && outcome !== 'outage');
    await waitFor(
      'an exchange after the end of the first service account token',
      Math.max(0, end - Date.now() / 1000) + WAIT_SECONDS,
      () => Promise.resolve(findExchanges().some(({ at }) => at / 1000 > end) ? true : undefined),
      async () => [findExchanges().at(-1), await api.logs(NAMESPACE, 'renewed', 'ado-git-identity')],
    );
    const exchanges = findExchanges();
    const issued = [...new Set(exchanges.map(({ assertionIssuedAt }) => assertionIssuedAt))];
    t.comment(
      `service account tokens of ${TOKEN_SECONDS} s: ${exchanges.length} exchanges, with ${issued.length} tokens of the kubelet`,
    );
    t.ok(issued.length > 1, 'the sidecar has read the new token');
    t.same([...new Set(exchanges.map(({ outcome }) => outcome))], ['token'], 'Entra refused none');
    t.match((await api.logs(NAMESPACE, 'renewed', 'app')).trim().split('\n').at(-1), 'good', 'git works on');
    await removeNamespace(api, NAMESPACE);
  };

  /** As the webhook injects it, but with a shorter projected token than Entra's users may ask for. */
  async function shorten(pod: KubernetesObject): Promise<void> {
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

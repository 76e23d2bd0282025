/** Certificates that the user provides in a Secret: a new authority takes over, and no admission fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { webhookHost } from '../../src/names.js';
import { epochMs } from '../../src/time.js';
import { waitUntil } from '../support/wait.js';
import type { Api } from './api.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, install, removeNamespace, SYSTEM_NAMESPACE, uninstall, WEBHOOK_PODS } from './installation.js';
import { buildSmallPod, startLoad } from './load.js';

const NAMESPACE = 'ado-git-provided';
const SECRET = 'webhook-certificate';
const PER_SECOND = 20;

/** Ends without an installation. */
export async function providedCases(t: Test, { api, azure }: Cluster): Promise<void> {
  await uninstall(api);
  await addNamespace(api, azure, NAMESPACE);
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM_NAMESPACE } });
  const [first, second] = [await createAuthorityNamed('first'), await createAuthorityNamed('second')];
  const mode = ['--set', `tls.mode=provided,tls.provided.secretName=${SECRET}`];
  await publish(api, first);
  await install(azure, ...mode, '--set', `tls.provided.caBundle=${first.certificatePem}`);

  // kube-proxy learns of a new Service a moment after its pods are ready.
  const pod = buildSmallPod(NAMESPACE, 'first', { asksByName: true });
  await waitUntil(
    'the API server reaches the webhook',
    async () => (await api.create(pod, '?dryRun=All')).status === 201,
  );
  const load = startLoad(api, NAMESPACE, PER_SECOND);
  // The Secret first, against the advice: the new certificate waits until the caBundle has both authorities.
  await publish(api, second);
  await waitForLogs(api, 'a new certificate waits, the previous one is still served');
  const both = first.certificatePem + second.certificatePem;
  await install(azure, ...mode, '--set', `tls.provided.caBundle=${both}`);
  await waitForLogs(api, 'a new certificate is served');
  await install(azure, ...mode, '--set', `tls.provided.caBundle=${second.certificatePem}`);
  await sleep(5000);
  const { sent, failures, notInjected } = await load.stop();
  t.comment(`a new provided authority: ${sent} pods, ${failures.length} failed, ${notInjected} not injected`);
  t.strictSame(failures.slice(0, 2), [], 'no admission fails');
  t.equal(notInjected, 0, 'every pod is injected');
  await removeNamespace(api, NAMESPACE);
  await uninstall(api);
}

function createAuthorityNamed(commonName: string): Promise<KeyedCertificate> {
  return createAuthority({ commonName, days: 1, now: epochMs(Date.now()) });
}

/** Puts a certificate of the authority into the Secret. */
async function publish(api: Api, authority: KeyedCertificate): Promise<void> {
  const options = {
    commonName: 'webhook',
    dnsNames: [webhookHost(SYSTEM_NAMESPACE)],
    days: 1,
    now: epochMs(Date.now()),
  };
  const { certificatePem, keyPem } = await issueCertificate(authority, options);
  await api.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: SECRET, namespace: SYSTEM_NAMESPACE },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': certificatePem, 'tls.key': keyPem },
  });
}

/** Waits until every replica has logged it; the kubelet mounts a changed Secret within a minute or two. */
async function waitForLogs(api: Api, message: string): Promise<void> {
  const { items } = (await api.get(WEBHOOK_PODS)) as { items: { metadata: { name: string } }[] };
  for (const { metadata } of items) {
    const hasLogged = async (): Promise<boolean> =>
      (await api.logs(SYSTEM_NAMESPACE, metadata.name, 'webhook')).includes(message);
    await waitUntil(`"${message}" in the log of ${metadata.name}`, hasLogged, { withinSeconds: 180 });
  }
}

/** Callers that are not the API server: with the client certificate required, only the API server is answered. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { createAuthority } from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { DEFAULT_LISTEN_PORT } from '../../src/defaults.js';
import { webhookHost } from '../../src/names.js';
import { epochMs } from '../../src/time.js';
import { createPod, createReview } from '../support/admission-review.js';
import { issueClientCertificate } from '../support/client-certificate.js';
import { waitUntil } from '../support/wait.js';
import { request } from '../support/webhook-fixture.js';
import type { Cluster } from './cluster.test.js';
import {
  addNamespace,
  install,
  RELEASE,
  removeNamespace,
  restartApiServer,
  run,
  SYSTEM_NAMESPACE,
  WEBHOOK_PODS,
} from './installation.js';
import { buildSmallPod, isInjected } from './load.js';

const NAMESPACE = 'ado-git-strangers';
const COMMON_NAME = 'kube-apiserver-webhooks';

export async function strangersCases(t: Test, { api, azure, flags }: Cluster): Promise<void> {
  if (process.env['CLUSTER_RESTART_APISERVER_COMMAND'] === undefined) {
    t.comment('skipped, CLUSTER_RESTART_APISERVER_COMMAND is not set');
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'ado-git-admission-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const authority = await createClients();
  const client = issueClientCertificate(authority, { commonNames: [COMMON_NAME] });
  const configuration = writeConfiguration(client, write);
  const clientCa = [
    ...['--set-file', `webhook.clientCa.pem=${write('ca.crt', authority.certificatePem)}`],
    ...['--set', `webhook.clientCa.commonNames={${COMMON_NAME}}`],
  ];
  const create = () => api.create(buildSmallPod(NAMESPACE, 'client', { asksByName: true }), '?dryRun=All');
  const isServed = async (): Promise<boolean> => isInjected((await create()).body);

  await addNamespace(api, azure, NAMESPACE);
  await waitUntil('a pod is injected', isServed);
  t.equal((await call(await findReplica())).status, 200, 'by default, whoever reaches the port is answered');
  try {
    await restartApiServer(api, `--admission-control-config-file=${configuration}`);
    await waitUntil('the API server with a client certificate is served without asking for it', isServed);
    await install(azure, ...flags, ...clientCa);
    await waitUntil('the API server is served by replicas that ask for it', isServed);
    const host = await findReplica();
    const strangers: [string, KeyedCertificate | undefined, number][] = [
      ['no certificate', undefined, 401],
      ['of another authority', issueClientCertificate(await createClients(), { commonNames: [COMMON_NAME] }), 403],
      ['with another name', issueClientCertificate(authority), 403],
      ['the right one', client, 200],
    ];
    for (const [name, certificate, expected] of strangers)
      t.equal((await call(host, certificate)).status, expected, name);
    await run('helm', ['test', RELEASE, '--namespace', SYSTEM_NAMESPACE, '--timeout', '120s']);
    t.pass('helm test passes');

    await restartApiServer(api);
    const isRefused = async (): Promise<boolean> =>
      JSON.stringify((await create()).body).includes("the API server's client certificate is required");
    await waitUntil('an API server without it is refused, with the sentence', isRefused, { describe: create });
  } finally {
    await restartApiServer(api);
    await install(azure, ...flags);
  }
  await waitUntil('without the option, pods are served again', isServed);
  await removeNamespace(api, NAMESPACE);

  async function findReplica(): Promise<string> {
    const { items } = (await api.get(WEBHOOK_PODS)) as {
      items: { metadata: { deletionTimestamp?: string }; status: { phase: string; podIP: string } }[];
    };
    const replica = items.find(
      ({ metadata, status }) => status.phase === 'Running' && metadata.deletionTimestamp === undefined,
    );
    if (replica === undefined) throw new Error('no replica runs');
    return replica.status.podIP;
  }
}

/** Two of these have the same name. */
function createClients(): Promise<KeyedCertificate> {
  return createAuthority({ commonName: 'ado-git-identity clients', days: 1, now: epochMs(Date.now()) });
}

/** As a pod of the cluster could, past the API server. */
function call(host: string, client?: KeyedCertificate) {
  return request(`https://${host}:${DEFAULT_LISTEN_PORT}/mutate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
    rejectUnauthorized: false,
    ...(client !== undefined && { cert: client.certificatePem, key: client.keyPem }),
    body: JSON.stringify(createReview(createPod())),
  });
}

/** @returns the path of the AdmissionConfiguration. */
function writeConfiguration(client: KeyedCertificate, write: (name: string, text: string) => string): string {
  const user = {
    'client-certificate': write('client.crt', client.certificatePem),
    'client-key': write('client.key', client.keyPem),
  };
  const users = [{ name: webhookHost(SYSTEM_NAMESPACE), user }];
  const kubeConfigFile = write('kubeconfig.yaml', JSON.stringify({ apiVersion: 'v1', kind: 'Config', users }));
  const configuration = {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'WebhookAdmissionConfiguration',
    kubeConfigFile,
  };
  const plugins = [{ name: 'MutatingAdmissionWebhook', configuration }];
  return write(
    'admission.yaml',
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration', plugins }),
  );
}

/** The chart's roles allow each request that the webhook makes, and nothing that it never requests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startApiServerEmulator } from '../../src/emulators/index.js';
import { connect } from '../../src/kubernetes/connect.js';
import { WEBHOOK_NAME } from '../../src/names.js';
import { runWebhook } from '../../src/webhook/run.js';
import { createSimulatedCluster, MINUTE_MS } from '../certificates/simulated-cluster.js';
import { createPod, createReview, readResponse } from '../support/admission-review.js';
import { at, options, render } from '../support/chart.js';
import { renderKubeconfig } from '../support/kubeconfig.js';
import { waitUntil } from '../support/wait.js';
import { createPki, NAMESPACE, request } from '../support/webhook-fixture.js';

const PATH = /^\/(?:api|apis\/(?<group>[^/]+))\/v1(?:\/namespaces\/[^/]+)?\/(?<resource>[a-z]+)(?:\/(?<name>[^/?]+))?/;
const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch' };

/** What RBAC checks of a request: verb, API group and resource, and the name if it is the webhook's own. */
function readPermission(method: string, path: string): string {
  const { group = '', resource = '', name } = PATH.exec(path)?.groups ?? {};
  const read = path.includes('watch=true') ? 'watch' : name === undefined ? 'list' : 'get';
  return [VERBS[method] ?? read, `${group}/${resource}`, ...(name === WEBHOOK_NAME ? [name] : [])].join(' ');
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** The permissions of the webhook's roles, written the same way. */
function listPermissions(...values: string[]): string[] {
  const objects = render(...values);
  const roles = objects.filter(
    ({ kind, metadata }) => /^(?:Cluster)?Role$/.test(kind) && metadata.name === WEBHOOK_NAME,
  );
  return roles
    .flatMap((role) => at(role, 'rules') as Rule[])
    .flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          resourceNames.flatMap((name) => verbs.map((verb) => `${verb} ${group}/${resource} ${name}`.trim())),
        ),
      ),
    )
    .sort();
}

/** All requests of a webhook that answers every kind of admission, with certificates from files. */
async function recordServing(test: Test): Promise<Set<string>> {
  const pki = await createPki();
  const api = await startApiServerEmulator({ certificate: pki.server, token: 'token' });
  api.setCaBundle(pki.authority.certificatePem);
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const directory = test.testdir();
  const { certificatePem: authorityPem } = pki.authority;
  const env = {
    ADO_GIT_LISTEN_PORT: '0',
    ADO_GIT_HEALTH_PORT: '0',
    ADO_GIT_DRAIN_SECONDS: '0',
    ADO_GIT_NAMESPACE: NAMESPACE,
    ADO_GIT_TLS_CERT_FILE: write('tls.crt', pki.server.certificatePem),
    ADO_GIT_TLS_KEY_FILE: write('tls.key', pki.server.keyPem),
    ADO_GIT_SIDECAR_IMAGE: 'registry.example/ado-git-identity:1',
    KUBECONFIG: write('kubeconfig', renderKubeconfig({ port: api.port, token: 'token', authorityPem })),
  };
  const stop = new AbortController();
  let log = '';
  const writeLog = (text: string): void => void (log += text);
  const ended = runWebhook({ env, connect, writeLog, writeError: writeLog, stop: stop.signal });
  test.teardown(async () => {
    stop.abort();
    await ended;
    await api.close();
  });
  const port = await waitUntil('the webhook listens', () => /"message":"listening".*?"port":(\d+)/.exec(log)?.[1], {
    describe: () => log,
  });
  api.put('apps', 'builder');
  // A service account without an identity is read once more, and the Event is on the owner.
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'app', uid: 'a-uid', controller: true };
  const answer = await request(`https://127.0.0.1:${port}/mutate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    ca: authorityPem,
    agent: false,
    body: JSON.stringify(createReview(createPod({}, { ownerReferences: [owner] }))),
  });
  test.equal(readResponse(answer.text).allowed, true, answer.text);
  const permissions = (): string[] =>
    api.requests.map((line) => readPermission(...(line.split(' ') as [string, string])));
  const isDone = (): boolean =>
    permissions().includes('create /events') && permissions().some((one) => one.startsWith('watch '));
  await waitUntil('an Event and a watch', isDone, { describe: () => api.requests });
  return new Set(permissions());
}

/** All requests about managed certificates: their creation, a rotation, and repairs. */
async function recordManaged(): Promise<Set<string>> {
  const cluster = createSimulatedCluster();
  const used = new Set<string>();
  const { api } = cluster.objects;
  const recorded: typeof api = {
    get: (path, ...rest) => {
      used.add(readPermission('GET', path));
      return api.get(path, ...rest);
    },
    put: (path, ...rest) => {
      used.add(readPermission('PUT', path));
      return api.put(path, ...rest);
    },
    patch: (path, contentType, ...rest) => {
      used.add(readPermission('PATCH', path));
      // A server-side apply may create the object.
      if (contentType === 'application/apply-patch+yaml') used.add(readPermission('POST', path));
      return api.patch(path, contentType, ...rest);
    },
  };
  Object.assign(cluster.objects, { api: recorded });
  cluster.start();
  await cluster.run(MINUTE_MS);
  cluster.objects.rotate('leaf');
  await cluster.run(5 * MINUTE_MS);
  return used;
}

void t.test('the roles are what the webhook requests, in each mode', options, async (t) => {
  const serving = await recordServing(t);
  const files = listPermissions(
    'tls.mode=provided',
    'tls.provided.secretName=x',
    'tls.provided.caBundle=-----BEGIN CERTIFICATE-----',
  );
  t.strictSame([...serving].sort(), files);
  const managed = new Set([...serving, ...(await recordManaged())]);
  t.strictSame([...managed].sort(), listPermissions());
});

// Creates a labelled pod with a dry run, and checks that the API server returns it injected.
import { readFileSync } from 'node:fs';
import https from 'node:https';

const account = '/var/run/secrets/kubernetes.io/serviceaccount';
const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port, TEST_NAMESPACE: namespace } = process.env;
const group = 'ado-git.workload.identity';
const ATTEMPTS = 30;

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'ado-git-identity-test',
    namespace,
    labels: { 'azure.workload.identity/use': 'true' },
    annotations: {
      [`${group}/inject`]: 'enabled',
      [`${group}/client-id`]: '00000000-0000-0000-0000-000000000001',
      [`${group}/tenant-id`]: '00000000-0000-0000-0000-000000000002',
    },
  },
  spec: {
    serviceAccountName: 'ado-git-identity-test',
    // Meets the rules of strict clusters: Pod Security restricted, requests and limits.
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'app',
        image: 'example.invalid/app:1',
        resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '50m', memory: '32Mi' } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
      },
    ],
  },
};

function createPod() {
  return new Promise((resolve, reject) => {
    const request = https.request({
      host,
      port,
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods?dryRun=All`,
      ca: readFileSync(`${account}/ca.crt`),
      headers: {
        authorization: `Bearer ${readFileSync(`${account}/token`, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      timeout: 20_000,
    });
    request.on('timeout', () => request.destroy(new Error('the API server did not answer within 20 s')));
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }));
    });
    request.end(JSON.stringify(pod));
  });
}

function findProblem({ status, body }) {
  if (status !== 201) return `the API server refused the pod with status ${status}: ${body.message}`;
  const [first] = body.spec.initContainers ?? [];
  if (first?.name !== 'ado-git-identity' || body.metadata.labels[`${group}/injected`] !== 'true') {
    return `the API server accepted the pod without calling the webhook: check that webhook.namespaceSelector selects the namespace ${namespace}`;
  }
  return undefined;
}

// It takes a moment until the API server knows the role of this test.
for (let attempt = 1; ; attempt += 1) {
  const problem = await createPod().then(findProblem, (error) => `the API server can't be reached: ${error.message}`);
  if (problem === undefined) {
    console.log('The API server called the webhook, and the pod was injected.');
    break;
  }
  if (attempt === ATTEMPTS) {
    console.error(problem);
    process.exitCode = 1;
    break;
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
}

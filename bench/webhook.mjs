// What an admission costs: throughput, latency and CPU time of POST /mutate over TLS with kept connections, for pods of 5
// and 64 KiB; the share of JSON and of patching in it; and the memory of 10,000 service accounts. It takes about 20 s.
//   npm run bench:webhook [-- FLAGS of the webhook's node]
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadModules, readAnonymousMemory } from './support.mjs';

/** Of the webhook's process. */
const NODE_FLAGS = process.argv.length > 2 ? process.argv.slice(2) : ['--max-semi-space-size=1', '--optimize-for-size'];
const ACCOUNTS = 10_000;
const CONNECTIONS = 8;
const LOAD_MS = 3000;
/** Until the memory of the start is collected. */
const SETTLE_MS = 2000;
const TOKEN = 'bench';
const SIZES = { '5 KiB': 5 * 1024, '64 KiB': 64 * 1024 };
const TICKS_PER_SECOND = 100;
const IDENTITY = {
  'azure.workload.identity/client-id': '11111111-2222-3333-4444-555555555555',
  'azure.workload.identity/tenant-id': '66666666-7777-8888-9999-aaaaaaaaaaaa',
};

const directory = mkdtempSync(join(tmpdir(), 'bench-webhook-'));
const children = [];
const apis = [];
try {
  await main();
} finally {
  for (const child of children) child.kill('SIGKILL');
  for (const api of apis) await api.close();
  rmSync(directory, { recursive: true, force: true });
}

async function main() {
  const source = await loadModules([
    'src/emulators/index.ts',
    'src/certificates/authority.ts',
    'src/webhook/admission-review.ts',
    'src/inject/index.ts',
    'src/inject/settings.ts',
    'test/support/admission-review.ts',
    'test/support/kubeconfig.ts',
    'test/support/wait.ts',
  ]);
  const now = Date.now();
  const authority = await source.createAuthority({ commonName: 'bench', days: 1, now });
  const names = { commonName: 'bench', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  const certificate = await source.issueCertificate(authority, { ...names, days: 1, now });

  const memory = {};
  let webhook;
  for (const count of [0, ACCOUNTS]) {
    webhook = await startWebhook(source, authority, certificate, count);
    memory[count] = readAnonymousMemory(webhook.pid);
  }
  const rows = {};
  for (const [size, bytes] of Object.entries(SIZES)) {
    const body = JSON.stringify(source.createReview(createPodOfSize(bytes)));
    await load(webhook, body, 500);
    const single = await load(webhook, body, LOAD_MS / 3, 1);
    const before = readCpu(webhook.pid);
    const many = await load(webhook, body, LOAD_MS, CONNECTIONS);
    const cpu = ((readCpu(webhook.pid) - before) * 1000) / many.length;
    const inside = measureInside(source, body);
    rows[size] = {
      'requests/s': Math.round(many.length / (LOAD_MS / 1000)),
      'p50 ms': quantile(single, 0.5),
      'p99 ms': quantile(single, 0.99),
      [`p50 ms, ${CONNECTIONS} at once`]: quantile(many, 0.5),
      [`p99 ms, ${CONNECTIONS} at once`]: quantile(many, 0.99),
      'CPU ms': round(cpu),
      'JSON %': Math.round((100 * inside.json) / cpu),
      'patching %': Math.round((100 * inside.patching) / cpu),
    };
  }
  const [small, large] = Object.values(rows);
  rows['64 KiB / 5 KiB'] = Object.fromEntries(Object.keys(small).map((key) => [key, round(large[key] / small[key])]));
  console.log(`POST /mutate over TLS, node ${process.version} ${NODE_FLAGS.join(' ')}`);
  console.table(rows);
  console.log('anonymous memory, MB');
  console.table({
    'no service account': { MB: round(memory[0]) },
    [`${ACCOUNTS} service accounts`]: { MB: round(memory[ACCOUNTS]) },
    difference: { MB: round(memory[ACCOUNTS] - memory[0]) },
    ratio: { MB: round(memory[ACCOUNTS] / memory[0]) },
    'after the load above': { MB: round(readAnonymousMemory(webhook.pid)) },
  });
}

async function startWebhook(source, authority, certificate, count) {
  const api = await source.startApiServerEmulator({ certificate, token: TOKEN });
  apis.push(api);
  api.put('apps', 'builder', IDENTITY);
  for (let index = 1; index < count; index += 1) api.put(`team-${index % 200}`, `account-${index}`, IDENTITY);
  const authorityPem = authority.certificatePem;
  const kubeconfig = source.renderKubeconfig({ port: api.port, token: TOKEN, authorityPem });
  const child = spawn(process.execPath, [...NODE_FLAGS, 'dist/webhook.cjs'], {
    env: {
      MALLOC_ARENA_MAX: '1',
      ADO_GIT_LISTEN_PORT: '0',
      ADO_GIT_HEALTH_PORT: '0',
      ADO_GIT_TLS_CERT_FILE: write('tls.crt', certificate.certificatePem),
      ADO_GIT_TLS_KEY_FILE: write('tls.key', certificate.keyPem),
      ADO_GIT_SIDECAR_IMAGE: 'registry.example/ado-git-identity:1',
      KUBECONFIG: write(`kubeconfig-${count}`, kubeconfig),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  await source.waitUntil('the webhook is ready', () => output.includes('"message":"ready"'), {
    describe: () => ({ exitCode: child.exitCode, output }),
  });
  await sleep(SETTLE_MS);
  const [, port] = /"port":(\d+)/.exec(output);
  return { pid: child.pid, port: Number(port), ca: authorityPem };
}

function write(name, text) {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
}

/** A deployment's pod, as the API server sends it, whose JSON has about this many bytes. */
function createPodOfSize(bytes) {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'app-', labels: { 'azure.workload.identity/use': 'true' }, annotations: {} },
    spec: { serviceAccountName: 'builder', volumes: [], containers: [] },
  };
  while (JSON.stringify(pod).length < bytes) {
    const index = pod.spec.containers.length;
    pod.spec.containers.push({
      name: `container-${index}`,
      image: `registry.example/team/app-${index}:1.2.3`,
      env: Array.from({ length: 20 }, (_, number) => ({
        name: `SETTING_${number}`,
        value: `value-${number}-of-${index}`,
      })),
      resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
      volumeMounts: [
        { name: 'kube-api-access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
      ],
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
      imagePullPolicy: 'IfNotPresent',
    });
  }
  return pod;
}

/** Milliseconds of each request. */
async function load({ port, ca }, body, milliseconds, connections = CONNECTIONS) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: connections, ca });
  const times = [];
  const end = performance.now() + milliseconds;
  const run = async () => {
    while (performance.now() < end) {
      const start = performance.now();
      await post(port, agent, body);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: connections }, run));
  agent.destroy();
  return times.sort((one, other) => one - other);
}

function post(port, agent, body) {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const request = https.request(
      { host: '127.0.0.1', port, path: '/mutate', method: 'POST', headers, agent },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
        response.on('end', () => (text.includes('"patch"') ? resolve() : reject(new Error(`not injected: ${text}`))));
      },
    );
    request.on('error', reject).end(body);
  });
}

/** Milliseconds that the JSON and the patching of one request take in this process, once it is warm. */
function measureInside(source, text) {
  const bytes = Buffer.from(text);
  const defaults = { ...source.STANDARD_DEFAULTS, image: 'registry.example/ado-git-identity:1' };
  const serviceAccount = { state: 'found', annotations: IDENTITY };
  let json = 0;
  let patching = 0;
  const rounds = 1000;
  for (let round = -rounds; round < rounds; round += 1) {
    if (round === 0) json = patching = 0;
    const start = performance.now();
    const { request } = source.decodeReview(bytes);
    const decoded = performance.now();
    const outcome = source.injectPod({ pod: request.pod, namespace: request.namespace, serviceAccount, defaults });
    const patched = performance.now();
    source.writeReview(source.encodeOutcome(request.uid, outcome));
    json += decoded - start + (performance.now() - patched);
    patching += patched - decoded;
  }
  return { json: json / rounds, patching: patching / rounds };
}

/** Seconds of CPU time so far, user and system (proc(5), stat, fields 14 and 15). */
function readCpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function quantile(sorted, part) {
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]);
}

function round(value) {
  return Math.round(value * 100) / 100;
}

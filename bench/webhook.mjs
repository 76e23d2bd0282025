// What an admission costs: throughput, latency and CPU of POST /mutate over TLS with kept connections, for pods of 5 and
// 64 KiB; the share of JSON and patching in it; and the memory that 10,000 service accounts take. One run, about 20 s.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** Of the webhook's process; others can be given on the command line. */
const NODE_FLAGS = process.argv.length > 2 ? process.argv.slice(2) : ['--max-semi-space-size=1', '--optimize-for-size'];
const ACCOUNTS = 10_000;
const CONNECTIONS = 8;
const LOAD_MS = 3000;
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
  const source = await loadSource();
  const now = Date.now();
  const authority = await source.createAuthority({ commonName: 'bench', days: 1, now });
  const names = { commonName: 'bench', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  const certificate = await source.issueCertificate(authority, { ...names, days: 1, now });

  const memory = {};
  let webhook;
  for (const count of [0, ACCOUNTS]) {
    webhook = await startWebhook(source, authority, certificate, count);
    memory[count] = readAnonymous(webhook.pid);
  }
  const rows = {};
  for (const [size, bytes] of Object.entries(SIZES)) {
    const pod = createPod(bytes);
    const body = JSON.stringify(createReview(pod));
    await load(webhook, body, 500);
    const alone = await load(webhook, body, LOAD_MS / 3, 1);
    const before = readCpu(webhook.pid);
    const many = await load(webhook, body, LOAD_MS, CONNECTIONS);
    const cpu = ((readCpu(webhook.pid) - before) * 1000) / many.length;
    const inside = measureInside(source, body);
    rows[size] = {
      'requests/s': Math.round(many.length / (LOAD_MS / 1000)),
      'p50 ms': quantile(alone, 0.5),
      'p99 ms': quantile(alone, 0.99),
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
    'after the load above': { MB: round(readAnonymous(webhook.pid)) },
  });
}

/** The stand-in API, the certificates and the pure parts, from source. */
async function loadSource() {
  const outfile = join(directory, 'source.mjs');
  const modules = [
    'demo/service-account-api',
    'certificates/authority',
    'webhook/review',
    'inject/index',
    'inject/settings',
  ];
  await build({
    stdin: {
      contents: modules.map((name) => `export * from './src/${name}.js';`).join('\n'),
      resolveDir: process.cwd(),
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    logLevel: 'error',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  return import(pathToFileURL(outfile).href);
}

async function startWebhook(source, authority, certificate, count) {
  const api = await source.startServiceAccountApi({ certificate, token: 'bench' });
  apis.push(api);
  api.put('apps', 'builder', IDENTITY);
  for (let index = 1; index < count; index += 1) api.put(`team-${index % 200}`, `account-${index}`, IDENTITY);
  const kubeconfig = {
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [
      {
        name: 'bench',
        cluster: {
          server: `https://127.0.0.1:${api.port}`,
          'certificate-authority-data': Buffer.from(authority.certificatePem).toString('base64'),
        },
      },
    ],
    users: [{ name: 'bench', user: { token: 'bench' } }],
  };
  const child = spawn(process.execPath, [...NODE_FLAGS, 'dist/cli.cjs', 'webhook'], {
    env: {
      MALLOC_ARENA_MAX: '1',
      ADO_GIT_LISTEN_PORT: '0',
      ADO_GIT_HEALTH_PORT: '0',
      ADO_GIT_TLS_CERT_FILE: write('tls.crt', certificate.certificatePem),
      ADO_GIT_TLS_KEY_FILE: write('tls.key', certificate.keyPem),
      ADO_GIT_SIDECAR_IMAGE: 'registry.example/ado-git-identity:1',
      KUBECONFIG: write(`kubeconfig-${count}`, JSON.stringify(kubeconfig)),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let output = '';
  await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`dist/webhook.cjs ended with ${code}`)));
    child.stdout.on('data', (chunk) => {
      output += chunk;
      if (output.includes('ready')) resolve();
    });
  });
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const [, port] = /"port":(\d+)/.exec(output);
  return { pid: child.pid, port: Number(port), ca: authority.certificatePem };
}

function write(name, text) {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
}

/** A deployment's pod whose JSON has about so many bytes, as the API server sends it. */
function createPod(bytes) {
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

function createReview(pod) {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      namespace: 'apps',
      operation: 'CREATE',
      object: pod,
      dryRun: false,
    },
  };
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

/** Milliseconds of one request's JSON and of its patching, in this process once it is warm. */
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

/** Seconds of CPU so far, user and system (proc(5), stat, fields 14 and 15). */
function readCpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Megabytes. */
function readAnonymous(pid) {
  const [, kilobytes] = /^Anonymous:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return Number(kilobytes) / 1024;
}

function quantile(sorted, part) {
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]);
}

function round(value) {
  return Math.round(value * 100) / 100;
}

// What an admission costs, for each candidate set of node's flags: CPU time of POST /mutate over TLS for pods of 5 KiB, 64 KiB
// and 1 MiB, CPU time of a fresh TLS connection with an RSA and with an EC key, and memory with 10,000 service accounts.
//   npm run bench:webhook [-- --node PATH] [--rounds N] [--only PATTERN]
// Each figure is the median of the rounds; in a round every candidate has a process of its own, for about 12 s.
// The webhook runs with the node that starts the benchmark, or with the one that --node names; --only keeps the candidates
// whose name matches the regular expression.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';
import {
  CHART_MALLOC,
  loadModules,
  readAnonymousMemory,
  readChartValues,
  readCpuMs,
  startWebhookProcess,
} from './support.mjs';

const { values: options } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
});
const rounds = Number(options.rounds);

const MIB = 1024 * 1024;
const ACCOUNTS = 10_000;
const CONNECTIONS = 8;
/** How many requests warm the webhook up, and how many are measured. */
const SIZES = {
  '5 KiB': { bytes: 5 * 1024, warmUp: 1500, requests: 1500 },
  '64 KiB': { bytes: 64 * 1024, warmUp: 300, requests: 500 },
  '1 MiB': { bytes: MIB, warmUp: 20, requests: 40 },
};
const HANDSHAKES = 150;
/** Until the memory of the start is collected. */
const SETTLE_MS = 2000;
const TOKEN = 'bench';
const IDENTITY = {
  'azure.workload.identity/client-id': '11111111-2222-3333-4444-555555555555',
  'azure.workload.identity/tenant-id': '66666666-7777-8888-9999-aaaaaaaaaaaa',
};
const CANDIDATES = listCandidates().filter(({ name }) => new RegExp(options.only).test(name));

const source = await loadModules([
  'src/emulators/index.ts',
  'src/certificates/authority.ts',
  'test/support/admission-review.ts',
  'test/support/wait.ts',
]);
const directory = mkdtempSync(join(tmpdir(), 'bench-webhook-'));
const bodies = Object.fromEntries(
  Object.entries(SIZES).map(([size, { bytes }]) => [size, JSON.stringify(source.createReview(createPodOfSize(bytes)))]),
);
const authority = await source.createAuthority({ commonName: 'bench', days: 1, now: Date.now() });
const certificates = { rsa: await issue('rsa'), ec: await issue('ec') };
const api = await source.startApiServerEmulator({ certificate: certificates.ec, token: TOKEN });
try {
  await main();
} finally {
  await api.close();
  rmSync(directory, { recursive: true, force: true });
}

async function main() {
  api.put('apps', 'builder', IDENTITY);
  for (let index = 1; index < ACCOUNTS; index += 1) api.put(`team-${index % 200}`, `account-${index}`, IDENTITY);
  const figures = new Map(CANDIDATES.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const candidate of CANDIDATES) figures.get(candidate.name).push(await measure(candidate));
  }
  const version = execFileSync(options.node, ['--version'], { encoding: 'utf8' }).trim();
  const medians = Object.fromEntries([...figures].map(([name, each]) => [name, takeMedians(each)]));
  console.log(`node ${version}, medians of ${rounds} rounds, ${ACCOUNTS} service accounts, ${CONNECTIONS} connections`);
  for (const table of ['CPU ms', 'anonymous memory, MB', 'latency, ms']) {
    console.log(table);
    console.table(Object.fromEntries(Object.entries(medians).map(([name, tables]) => [name, tables[table]])));
  }
  const [chart, ...others] = Object.entries(medians);
  console.log(`CPU ms and memory, each divided by that of "${chart[0]}"`);
  console.table(Object.fromEntries(others.map(([name, tables]) => [name, divideBy(chart[1], tables)])));
}

/** The chart's flags come first; each of the others differs from them in what its name says. */
function listCandidates() {
  const { nodeFlags } = readChartValues();
  const replace = (flag, value) => [
    ...nodeFlags.filter((text) => !text.startsWith(flag)),
    ...(value === undefined ? [] : [`${flag}=${value}`]),
  ];
  const semi = (value) => replace('--max-semi-space-size', value);
  const optimize = '--optimize-for-size';
  const flags = {
    'the chart': nodeFlags,
    'semi space 1': semi(1),
    'semi space 1, optimize for size': [...semi(1), optimize],
    'semi space 2': semi(2),
    'semi space 4': semi(4),
    'semi space 8, optimize for size': [...semi(8), optimize],
    'semi space of node': semi(undefined),
    'old space 96': replace('--max-old-space-size', 96),
  };
  return [
    ...Object.entries(flags).map(([name, flags]) => ({ name, flags, environment: CHART_MALLOC })),
    { name: 'malloc as it is', flags: nodeFlags, environment: {} },
    { name: 'malloc with one arena', flags: nodeFlags, environment: { MALLOC_ARENA_MAX: '1' } },
  ];
}

function issue(kind) {
  const options = {
    commonName: 'bench',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    days: 1,
    now: Date.now(),
  };
  return source.issueCertificate(authority, options, () => source.generateKeys(kind));
}

/** All figures of one process. */
async function measure(candidate) {
  const webhook = await startWebhook(candidate);
  try {
    const cpu = {};
    const memory = { idle: readAnonymousMemory(webhook.pid) };
    const latency = {};
    for (const [size, { warmUp, requests }] of Object.entries(SIZES)) {
      if (size === '1 MiB') {
        const handshakes = await measureHandshakes(webhook);
        cpu['TLS, RSA'] = handshakes.rsa;
        cpu['TLS, EC'] = handshakes.ec;
        memory['after the load'] = readAnonymousMemory(webhook.pid);
      }
      await load(webhook, bodies[size], warmUp);
      const before = readCpuMs(webhook.pid);
      const times = await load(webhook, bodies[size], requests);
      cpu[size] = (readCpuMs(webhook.pid) - before) / requests;
      latency[`${size}, p50`] = quantile(times, 0.5);
      latency[`${size}, p99`] = quantile(times, 0.99);
    }
    memory['after 1 MiB pods'] = readAnonymousMemory(webhook.pid);
    return { 'CPU ms': cpu, 'anonymous memory, MB': memory, 'latency, ms': latency };
  } finally {
    webhook.child.kill('SIGKILL');
  }
}

async function startWebhook({ flags, environment }) {
  const files = useCertificate('rsa');
  const { node } = options;
  const server = { port: api.port, authorityPem: authority.certificatePem, token: TOKEN };
  const { waitUntil } = source;
  const webhook = await startWebhookProcess({ node, flags, environment, directory, api: server, files, waitUntil });
  await sleep(SETTLE_MS);
  return webhook;
}

/** The webhook reads changed files again by itself. */
function useCertificate(kind) {
  const { certificatePem, keyPem } = certificates[kind];
  return { certificate: write('tls.crt', certificatePem), key: write('tls.key', keyPem) };
}

function write(name, text) {
  const path = join(directory, name);
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return path;
}

/** CPU ms of a fresh connection, first with the RSA key with which the webhook was started, then with an EC key. */
async function measureHandshakes(webhook) {
  const rsa = await shakeHands(webhook);
  useCertificate('ec');
  await webhook.waitForLog('a new certificate is served');
  return { rsa, ec: await shakeHands(webhook) };
}

async function shakeHands({ pid, port }) {
  const open = () =>
    new Promise((done, reject) => {
      const socket = connect({ host: '127.0.0.1', port, ca: authority.certificatePem }, () => socket.end());
      socket.on('error', reject).on('close', done).resume();
    });
  for (let count = 0; count < HANDSHAKES / 5; count += 1) await open();
  const before = readCpuMs(pid);
  for (let count = 0; count < HANDSHAKES; count += 1) await open();
  return (readCpuMs(pid) - before) / HANDSHAKES;
}

/** A deployment's pod, as the API server sends it, whose JSON has about this many bytes. */
function createPodOfSize(bytes) {
  const containers = [];
  let length = 0;
  while (length < bytes) {
    const container = createContainer(containers.length);
    containers.push(container);
    length += JSON.stringify(container).length;
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'app-', labels: { 'azure.workload.identity/use': 'true' }, annotations: {} },
    spec: { serviceAccountName: 'builder', volumes: [], containers },
  };
}

function createContainer(index) {
  const env = Array.from({ length: 20 }, (_, number) => ({
    name: `SETTING_${number}`,
    value: `value-${number}-of-${index}`,
  }));
  const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
  return {
    name: `container-${index}`,
    image: `registry.example/team/app-${index}:1.2.3`,
    env,
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    volumeMounts: [{ name: 'kube-api-access', mountPath, readOnly: true }],
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
  };
}

/** Sends so many requests over kept connections; returns the milliseconds of each, in order of size. */
async function load({ port }, body, requests) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: CONNECTIONS, ca: authority.certificatePem });
  const times = [];
  let sent = 0;
  const run = async () => {
    while (sent < requests) {
      sent += 1;
      const start = performance.now();
      await post(port, agent, body);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, run));
  agent.destroy();
  return times.sort((one, other) => one - other);
}

function post(port, agent, body) {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return new Promise((done, reject) => {
    const request = https.request(
      { host: '127.0.0.1', port, path: '/mutate', method: 'POST', headers, agent },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
        response.on('end', () => (text.includes('"patch"') ? done() : reject(new Error(`not injected: ${text}`))));
      },
    );
    request.on('error', reject).end(body);
  });
}

/** Of tables of figures, one of medians. */
function takeMedians(each) {
  return mapFigures(each[0], (table, name) =>
    round(
      quantile(
        each.map((tables) => tables[table][name]).sort((one, other) => one - other),
        0.5,
      ),
    ),
  );
}

function divideBy(chart, tables) {
  const ratios = mapFigures(tables, (table, name) => round(tables[table][name] / chart[table][name]));
  return { ...ratios['CPU ms'], ...ratios['anonymous memory, MB'] };
}

function mapFigures(tables, map) {
  const mapTable = ([table, row]) => [
    table,
    Object.fromEntries(Object.keys(row).map((name) => [name, map(table, name)])),
  ];
  return Object.fromEntries(Object.entries(tables).map(mapTable));
}

function quantile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

function round(value) {
  return Math.round(value * 100) / 100;
}

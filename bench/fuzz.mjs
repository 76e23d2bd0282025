// Throws hostile reviews at the webhook, started as the chart starts it: every worst case of test/support/hostile-reviews.ts, then
// mixtures and mutations of them.
//   npm run fuzz:webhook [-- --seconds N] [--seed N] [--only PATTERN]
// Prints the slowest answers by CPU time and the peak of memory. The exit code is 1 where an answer took more than 250 ms of CPU
// time, the process ended, or its memory was over the chart's limit. The same seed throws the same reviews.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { CHART_MALLOC, loadModules, readChartValues, readCpuMs, readPeakMiB, startWebhookProcess } from './support.mjs';

const { values: options } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string', default: '' },
  },
});
const seed = Number(options.seed);

const MAX_CPU_MS = 250;
const SHOWN = 10;
/** The kernel counts CPU time in steps of 10 ms; garbage of an answer may be collected after it. */
const SETTLE_MS = 30;
const ANSWER_TIMEOUT_MS = 60_000;
const TOKEN = 'fuzz';
const IDENTITY = {
  'azure.workload.identity/client-id': '11111111-2222-3333-4444-555555555555',
  'azure.workload.identity/tenant-id': '66666666-7777-8888-9999-aaaaaaaaaaaa',
};

const source = await loadModules([
  'src/emulators/index.ts',
  'src/certificates/authority.ts',
  'test/support/hostile-reviews.ts',
  'test/support/wait.ts',
]);
const { HOSTILE_REVIEWS, hostileReviews } = source;
const chart = readChartValues();
const maxMiB = Number(/^(\d+)Mi$/.exec(chart.resources.limits.memory)[1]);
const directory = mkdtempSync(join(tmpdir(), 'fuzz-webhook-'));
const now = Date.now();
const authority = await source.createAuthority({ commonName: 'fuzz', days: 1, now });
const names = { commonName: 'fuzz', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], days: 1, now };
const pair = await source.issueCertificate(authority, names);
const api = await source.startApiServerEmulator({ certificate: pair, token: TOKEN });
const agent = new https.Agent({ keepAlive: true, ca: authority.certificatePem });
const answers = [];
const problems = [];
let webhook;
let idleMiB;
try {
  await main();
} finally {
  webhook?.child.kill('SIGKILL');
  agent.destroy();
  await api.close();
  rmSync(directory, { recursive: true, force: true });
}
console.log(`${answers.length} reviews; the slowest, in ms of CPU time:`);
console.table(answers.sort((one, other) => other.cpuMs - one.cpuMs).slice(0, SHOWN));
for (const problem of problems) console.log(`FOUND: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

async function main() {
  api.put('apps', 'builder', IDENTITY);
  await start();
  idleMiB = readPeakMiB(webhook.pid);
  console.log(
    `seed ${seed}, ${options.seconds} s, ${Math.round(idleMiB)} MiB at first, limits ${MAX_CPU_MS} ms and ${maxMiB} MiB`,
  );
  const end = Date.now() + Number(options.seconds) * 1000;
  for (const [name, create] of HOSTILE_REVIEWS) {
    if (new RegExp(options.only).test(name)) await ask(name, create());
  }
  for (let index = 0; options.only === '' && Date.now() < end; index += 1) {
    const [body] = fc.sample(hostileReviews, { seed: seed + index, numRuns: 1 });
    await ask(`seed ${seed + index}`, body);
  }
  console.log(`peak of memory: ${Math.round(readPeakMiB(webhook.pid))} MiB`);
}

async function start() {
  const files = { certificate: join(directory, 'tls.crt'), key: join(directory, 'tls.key') };
  writeFileSync(files.certificate, pair.certificatePem);
  writeFileSync(files.key, pair.keyPem);
  webhook = await startWebhookProcess({
    node: options.node,
    flags: chart.nodeFlags,
    environment: CHART_MALLOC,
    directory,
    api: { port: api.port, authorityPem: authority.certificatePem, token: TOKEN },
    files,
    waitUntil: source.waitUntil,
  });
  // Compiles what ordinary pods run through, as in any webhook that has been up for a minute.
  for (let count = 0; count < 300; count += 1) await post(HOSTILE_REVIEWS.get('an ordinary pod')());
}

/** Sends one review, and judges what it cost. A process that has ended is started again. */
async function ask(name, body) {
  const before = readCpuMs(webhook.pid);
  const status = await post(body);
  if (webhook.child.exitCode !== null || webhook.child.signalCode !== null) {
    problems.push(`${name}: the process ended (${webhook.child.exitCode ?? webhook.child.signalCode})`);
    await start();
    return;
  }
  await sleep(SETTLE_MS);
  const cpuMs = readCpuMs(webhook.pid) - before;
  const peakMiB = Math.round(readPeakMiB(webhook.pid));
  answers.push({ name, bytes: body.length, status, cpuMs, peakMiB });
  if (cpuMs > MAX_CPU_MS) problems.push(`${name}: ${cpuMs} ms of CPU time`);
  if (peakMiB > maxMiB) {
    problems.push(`${name}: a peak of ${peakMiB} MiB`);
    webhook.child.kill('SIGKILL');
    await start();
  }
}

/** The HTTP status; `undefined` where none comes. */
function post(body) {
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  return new Promise((done) => {
    const request = https.request(
      { host: '127.0.0.1', port: webhook.port, path: '/mutate', method: 'POST', headers, agent },
      (response) =>
        response
          .on('end', () => done(response.statusCode))
          .on('error', () => done(undefined))
          .resume(),
    );
    // A process that ends breaks the connection a moment before its end is known.
    request.on('error', () => setTimeout(() => done(undefined), 500));
    request.setTimeout(ANSWER_TIMEOUT_MS, () => request.destroy()).end(body);
  });
}

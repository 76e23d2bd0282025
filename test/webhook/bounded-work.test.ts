/** Any review is answered with bounded work: at most 250 ms of CPU time and 48 MB of memory, and no end of the process. */
import { Buffer } from 'node:buffer';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as https from 'node:https';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t, { type Test as Tap } from 'tap';
import { parse } from 'yaml';
import { startApiServerEmulator } from '../../src/emulators/index.js';
import { STANDARD_DEFAULTS } from '../../src/inject/index.js';
import { createLogger } from '../../src/log.js';
import { epochMs } from '../../src/time.js';
import { createAdmission } from '../../src/webhook/admission.js';
import { createPod, createReview, readResponse } from '../support/admission-review.js';
import { HOSTILE_ACCOUNTS, HOSTILE_REVIEWS, hostileReviews } from '../support/hostile-reviews.js';
import { renderKubeconfig } from '../support/kubeconfig.js';
import { plainNodeCommand } from '../support/node-command.js';
import { waitUntil } from '../support/wait.js';
import { createPki, IDENTITY, request } from '../support/webhook-fixture.js';

const MAX_CPU_MS = 250;
/** Memory of one answer. The kernel counts with it what the process once had at its start, and has freed. */
const MAX_EXTRA_MIB = 48;
/** Of random reviews; `npm run fuzz:webhook` throws more. */
const RUNS = { numRuns: 40, endOnFailure: true };

function createHostedAdmission(annotations: Readonly<Record<string, string>> = IDENTITY, isCached = true) {
  const found = { state: 'found', annotations } as const;
  return createAdmission({
    serviceAccounts: { findCached: () => (isCached ? found : undefined), readLive: () => Promise.resolve(found) },
    defaults: { ...STANDARD_DEFAULTS, image: 'sidecar:1' },
    log: createLogger(
      'debug',
      () => undefined,
      () => epochMs(0),
    ),
    report: () => undefined,
  });
}

const admit = createHostedAdmission();

/** Milliseconds of CPU time; of three tries the cheapest one, since other work of the process is counted too. */
async function measure(body: Buffer, decide = admit): Promise<number> {
  const attempt = async (): Promise<number> => {
    const before = process.cpuUsage();
    const { outcome } = await decide(body, (work) => Promise.resolve(work()));
    const { user, system } = process.cpuUsage(before);
    if (outcome === 'failed') throw new Error('the review meets a defect');
    return (user + system) / 1000;
  };
  let least = await attempt();
  for (let tries = 1; tries < 3 && least > MAX_CPU_MS; tries++) least = Math.min(least, await attempt());
  return least;
}

void t.test('each worst case is answered within the bound of CPU time', async (t) => {
  for (const [name, create] of HOSTILE_REVIEWS) {
    const cpuMs = await measure(create());
    t.ok(cpuMs <= MAX_CPU_MS, `${name}: ${Math.round(cpuMs)} ms`);
  }
});

void t.test('so is each whose service account is read live, though it is parsed twice', async (t) => {
  const decide = createHostedAdmission(IDENTITY, false);
  for (const [name, create] of HOSTILE_REVIEWS) {
    const cpuMs = await measure(create(), decide);
    t.ok(cpuMs <= MAX_CPU_MS, `${name}: ${Math.round(cpuMs)} ms`);
  }
});

void t.test('each worst service account is answered within the bound of CPU time', async (t) => {
  const body = Buffer.from(JSON.stringify(createReview(createPod())));
  for (const [name, annotations] of HOSTILE_ACCOUNTS) {
    const cpuMs = await measure(body, createHostedAdmission({ ...IDENTITY, ...annotations }));
    t.ok(cpuMs <= MAX_CPU_MS, `${name}: ${Math.round(cpuMs)} ms`);
  }
});

void t.test('any review is answered within the bound of CPU time', async (t) => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(hostileReviews, async (body) => {
        const cpuMs = await measure(body);
        if (cpuMs > MAX_CPU_MS) throw new Error(`${Math.round(cpuMs)} ms of CPU time`);
      }),
      RUNS,
    ),
  );
});

void t.test('the process, with the flags of the chart, stays within its bounds and lives', async (t) => {
  const webhook = await startWebhook(t);
  const ordinary = Buffer.from(JSON.stringify(createReview(createPod())));
  // Until the code of an ordinary answer is compiled, as in a webhook that has been up for a minute.
  for (let count = 0; count < 200; count++) await webhook.ask(ordinary);
  for (const [name, create] of HOSTILE_REVIEWS) {
    const body = create();
    const beforeMiB = webhook.resetPeakMiB();
    let cpuMs = await webhook.ask(body);
    const extraMiB = webhook.peakMiB() - beforeMiB;
    for (let tries = 1; tries < 3 && cpuMs > MAX_CPU_MS; tries++) cpuMs = Math.min(cpuMs, await webhook.ask(body));
    t.ok(cpuMs <= MAX_CPU_MS, `${name}: ${cpuMs} ms`);
    t.ok(
      extraMiB <= MAX_EXTRA_MIB,
      `${name}: ${Math.round(extraMiB)} MiB more than the ${Math.round(beforeMiB)} before`,
    );
  }
  t.equal(webhook.exitCode(), null, 'the process lives');
});

void t.test('reviews that wait for a slow API server take the memory of their bytes only', async (t) => {
  const webhook = await startWebhook(t);
  webhook.api.injectFault({ delayMs: 1000, to: ['get'] });
  const junk = Array.from({ length: 3 }, () => Array<object>(16_000).fill({}));
  const bodies = Array.from({ length: 60 }, (_, index) => {
    const pod = createPod();
    const spec = { ...(pod['spec'] as object), serviceAccountName: `account-${index}`, junk };
    return Buffer.from(JSON.stringify(createReview({ ...pod, spec }, { namespace: `team-${index}` })));
  });
  await Promise.all(bodies.map((body) => webhook.ask(body)));
  t.equal(webhook.exitCode(), null, 'the process lives');
  t.ok(webhook.peakMiB() < 192, `${webhook.peakMiB()} MiB are within the limit of the chart`);
});

/** dist/webhook.cjs as the chart starts it. */
async function startWebhook(t: Tap) {
  const directory = t.testdir();
  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const { authority, server } = await createPki();
  const api = await startApiServerEmulator({ certificate: server, token: 'token' });
  t.teardown(() => api.close());
  api.put('apps', 'builder', IDENTITY);
  const values = readFileSync(resolve('charts/ado-git-identity/values.yaml'), 'utf8');
  const { nodeFlags } = (parse(values) as { webhook: { nodeFlags: string[] } }).webhook;
  const child = spawn(...plainNodeCommand(...nodeFlags, resolve('dist/webhook.cjs')), {
    env: {
      PATH: process.env['PATH'],
      // As in the chart's templates/deployment.yaml.
      MALLOC_ARENA_MAX: '1',
      MALLOC_MMAP_THRESHOLD_: '65536',
      ADO_GIT_LISTEN_PORT: '0',
      ADO_GIT_HEALTH_PORT: '0',
      ADO_GIT_TLS_CERT_FILE: write('tls.crt', server.certificatePem),
      ADO_GIT_TLS_KEY_FILE: write('tls.key', server.keyPem),
      ADO_GIT_SIDECAR_IMAGE: 'registry.example/ado-git-identity:1',
      KUBECONFIG: write(
        'kubeconfig',
        renderKubeconfig({ port: api.port, token: 'token', authorityPem: authority.certificatePem }),
      ),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await waitUntil('the webhook is ready', () => output.includes('"message":"the webhook is ready"'), {
    describe: () => output,
  });
  const url = `https://127.0.0.1:${/"port":(\d+)/.exec(output)?.[1] ?? ''}/mutate`;
  const agent = new https.Agent({ keepAlive: true, ca: authority.certificatePem });
  t.teardown(() => agent.destroy());
  const { pid = 0 } = child;
  const peakMiB = (): number =>
    Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  return {
    api,
    exitCode: () => child.exitCode,
    peakMiB,
    /** From now on the peak counts anew, from what is resident: proc(5), clear_refs. */
    resetPeakMiB: (): number => {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
      return peakMiB();
    },
    /** Sends the review; milliseconds of CPU time of all threads, in steps of 10 (proc(5), stat). */
    ask: async (body: Buffer): Promise<number> => {
      const before = readCpuMs(pid);
      const headers = { 'content-type': 'application/json', 'content-length': body.length };
      const { status, text } = await request(url, { method: 'POST', headers, agent, body });
      if (status === 200) readResponse(text);
      else if (status !== 400) throw new Error(`${status}: ${text}`);
      await sleep(20);
      return readCpuMs(pid) - before;
    },
  };
}

function readCpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

// Memory of the sidecar, fresh and after probes and exchanges, with its flags of node and without; and its bundle's size.
//   npm run bench:sidecar [-- --node PATH] [--probes N] [--exchanges N]
// It runs with the node that starts it, or with the one that --node names. Exit code 1: a limit is exceeded.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { loadModules, readAnonymousMemory } from './support.mjs';

const { values: options } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    probes: { type: 'string', default: '15000' },
    exchanges: { type: 'string', default: '150' },
  },
});
const probes = Number(options.probes);
const exchanges = Number(options.exchanges);
const major = Number(execFileSync(options.node, ['--version'], { encoding: 'utf8' }).match(/\d+/)[0]);
/** MB; what the sidecar promises, by node's major version. */
const LIMITS = major < 22 ? { fresh: 11, after: 14 } : { fresh: 14, after: 17 };
const BUNDLE = 'dist/sidecar.cjs';
const BUNDLE_LIMIT = 44_000;
/** Until the garbage collection that follows an exchange is over. */
const SETTLE_MS = 1000;
const CLIENT_ID = '11111111-2222-3333-4444-555555555555';
const TENANT_ID = '99999999-8888-7777-6666-555555555555';

const modules = await loadModules([
  'src/defaults.ts',
  'src/names.ts',
  'src/certificates/authority.ts',
  'src/emulators/index.ts',
  'test/support/wait.ts',
]);
const { SIDECAR_ENV, SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENV, TOKEN_AUDIENCE } = modules;
const root = mkdtempSync(join(tmpdir(), 'ado-git-bench-'));
const tokenFile = join(root, 'token');
const authority = await modules.createAuthority({ commonName: 'bench', days: 1, now: Date.now() });
const entra = await startEntra();

try {
  const bundle = statSync(BUNDLE).size;
  console.log(`node ${major}, ${probes} probes, ${exchanges} exchanges; anonymous memory in MB (limit)`);
  const flagged = await measure('with the flags', SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENV);
  const plain = await measure('without the flags', [], {});
  for (const when of ['fresh', 'after']) {
    const [own, other] = [flagged[when], plain[when]];
    console.log(
      `${when.padEnd(8)} ${own.toFixed(1).padStart(6)} (${LIMITS[when]})   without flags ${other.toFixed(1).padStart(6)}   ratio ${(other / own).toFixed(1)}`,
    );
  }
  console.log(`bundle   ${bundle} bytes (${BUNDLE_LIMIT}), ratio ${(bundle / BUNDLE_LIMIT).toFixed(2)}`);
  const passed = flagged.fresh <= LIMITS.fresh && flagged.after <= LIMITS.after && bundle < BUNDLE_LIMIT;
  console.log(passed ? 'all within the limits' : 'A LIMIT IS EXCEEDED');
  process.exitCode = passed ? 0 : 1;
} finally {
  await entra.close();
  rmSync(root, { recursive: true, force: true });
}

/** An Entra that accepts the service account token in the token file. */
async function startEntra() {
  const cluster = await modules.createTokenIssuer('https://issuer.example', Date.now);
  const account = { namespace: 'a', serviceAccount: 'b', pod: 'p' };
  writeFileSync(tokenFile, await cluster.mintToken({ ...account, audience: TOKEN_AUDIENCE, lifetimeSeconds: 3600 }));
  const certificate = { commonName: 'bench', dnsNames: ['localhost'], days: 1, now: Date.now() };
  const subject = 'system:serviceaccount:a:b';
  return modules.startEntraEmulator({
    certificate: await modules.issueCertificate(authority, certificate),
    tenants: { [TENANT_ID]: [] },
    applications: [
      {
        clientId: CLIENT_ID,
        tenantId: TENANT_ID,
        federatedCredentials: [{ issuer: cluster.issuer, subject, audience: TOKEN_AUDIENCE }],
      },
    ],
    findKeys: () => cluster.keys,
    now: Date.now,
    // Renewed at half of its life: two exchanges a second.
    tokenLifetimeSeconds: 1,
  });
}

async function measure(name, flags, environment) {
  const port = await modules.findFreePort();
  const child = spawn(options.node, [...flags, BUNDLE], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...environment,
      [SIDECAR_ENV.clientId]: CLIENT_ID,
      [SIDECAR_ENV.tenantId]: TENANT_ID,
      [SIDECAR_ENV.authorityHost]: entra.origin,
      [SIDECAR_ENV.extraCa]: authority.certificatePem,
      [SIDECAR_ENV.tokenFile]: tokenFile,
      [SIDECAR_ENV.directory]: mkdtempSync(join(root, 'state-')),
      [SIDECAR_ENV.port]: String(port),
    },
  });
  try {
    const before = entra.requests.length;
    await modules.waitUntil(`the sidecar ${name} has a token`, async () => (await probe(port, '/readyz')) === 200);
    await sleep(SETTLE_MS);
    const fresh = readAnonymousMemory(child.pid);
    const paths = ['/healthz', '/startz', '/readyz', '/metrics'];
    for (let count = 0; count < probes; count += 1) await probe(port, paths[count % paths.length]);
    const isDone = () => entra.requests.length - before >= exchanges;
    await modules.waitUntil(`${exchanges} exchanges ${name}`, isDone, { withinSeconds: 60 + 2 * exchanges });
    await sleep(SETTLE_MS);
    return { fresh, after: readAnonymousMemory(child.pid) };
  } finally {
    child.kill('SIGKILL');
  }
}

/** Probes as the kubelet does, with a connection each. */
function probe(port, path) {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    sent.on('error', () => resolve(0));
    sent.end();
  });
}

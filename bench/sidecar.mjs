// Memory of the sidecar, as the kernel counts it (/proc/PID/smaps_rollup), and the size of its bundle.
//   npm run bench:sidecar [-- --node PATH] [--probes N] [--exchanges N]
// Whoever starts it chooses the Node version, or --node names another. Ends with 1 where a limit is passed.
import { spawn } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

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
/** MB; what the sidecar promises, by Node's major version. */
const LIMITS = major < 22 ? { fresh: 11, after: 14 } : { fresh: 14, after: 17 };
const BUNDLE = 'dist/sidecar.cjs';
const BUNDLE_LIMIT = 40_000;

const product = await loadSources(['names', 'certificates/authority', 'demo/cluster-issuer', 'demo/entra']);
const { SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENV } = product;
const clientId = '11111111-2222-3333-4444-555555555555';
const tenantId = '99999999-8888-7777-6666-555555555555';
const root = mkdtempSync(join(tmpdir(), 'ado-git-bench-'));
const now = Date.now();
const authority = await product.createAuthority({ commonName: 'bench', days: 1, now });
const cluster = await product.createClusterIssuer('https://issuer.example', Date.now);
const entra = await product.startEntra({
  certificate: await product.issueCertificate(authority, {
    commonName: 'bench',
    dnsNames: ['localhost'],
    days: 1,
    now,
  }),
  tenants: { [tenantId]: [] },
  applications: [
    {
      clientId,
      tenantId,
      federatedCredentials: [
        { issuer: cluster.issuer, subject: 'system:serviceaccount:a:b', audience: product.TOKEN_AUDIENCE },
      ],
    },
  ],
  findKeys: () => cluster.keys,
  now: Date.now,
  // Renewed at half of its life: two exchanges a second.
  tokenLifetime: 1,
});
const projected = {
  namespace: 'a',
  serviceAccount: 'b',
  pod: 'p',
  audience: product.TOKEN_AUDIENCE,
  lifetimeSeconds: 3600,
};
writeFileSync(join(root, 'token'), await cluster.mintToken(projected));

try {
  const bundle = statSync(BUNDLE).size;
  console.log(`Node ${major}, ${probes} probes, ${exchanges} exchanges; anonymous memory in MB (limit)`);
  const flagged = await measure('with the flags', SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENV);
  const plain = await measure('without', [], {});
  const show = (name, when) =>
    `${name.padEnd(8)} ${flagged[when].toFixed(1).padStart(6)} (${LIMITS[when]})   without flags ${plain[when].toFixed(1).padStart(6)}   ratio ${(plain[when] / flagged[when]).toFixed(1)}`;
  console.log(show('fresh', 'fresh'));
  console.log(show('after', 'after'));
  console.log(`bundle   ${bundle} bytes (${BUNDLE_LIMIT})`);
  const passed = flagged.fresh <= LIMITS.fresh && flagged.after <= LIMITS.after && bundle < BUNDLE_LIMIT;
  console.log(passed ? 'all within the limits' : 'A LIMIT IS PASSED');
  process.exitCode = passed ? 0 : 1;
} finally {
  await entra.close();
  rmSync(root, { recursive: true, force: true });
}

async function measure(name, flags, environment) {
  const port = await findFreePort();
  const directory = mkdtempSync(join(root, 'state-'));
  const child = spawn(options.node, [...flags, BUNDLE], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...environment,
      ADO_GIT_CLIENT_ID: clientId,
      ADO_GIT_TENANT_ID: tenantId,
      ADO_GIT_AUTHORITY_HOST: entra.origin,
      ADO_GIT_EXTRA_CA: authority.certificatePem,
      ADO_GIT_TOKEN_FILE: join(root, 'token'),
      ADO_GIT_DIRECTORY: directory,
      ADO_GIT_PORT: String(port),
    },
  });
  try {
    const before = entra.requests.length;
    await until(`the sidecar ${name} has a token`, async () => (await probe(port, '/readyz')) === 200);
    await sleep(1000);
    const fresh = readAnonymous(child.pid);
    const paths = ['/healthz', '/startz', '/readyz', '/metrics'];
    for (let count = 0; count < probes; count += 1) await probe(port, paths[count % paths.length]);
    await until(`${exchanges} exchanges ${name}`, () => entra.requests.length - before >= exchanges, 600);
    await sleep(500);
    return { fresh, after: readAnonymous(child.pid) };
  } finally {
    child.kill('SIGKILL');
  }
}

function readAnonymous(pid) {
  const [, kilobytes] = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Anonymous:\s+(\d+) kB/m);
  return (Number(kilobytes) * 1024) / 1e6;
}

/** As kubelet probes: a connection each. */
function probe(port, path) {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    asked.on('error', () => resolve(0));
    asked.end();
  });
}

async function until(what, condition, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await sleep(50);
  }
}

async function findFreePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Sources are TypeScript: they are bundled into a module beside the programs, and loaded from there. */
async function loadSources(names) {
  const outfile = `${process.cwd()}/dist/bench-sidecar.mjs`;
  const contents = names.map((name) => `export * from './src/${name}.ts';`).join('\n');
  await build({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
  });
  try {
    return await import(outfile);
  } finally {
    rmSync(outfile);
  }
}

// What the benchmarks share: modules from their TypeScript source, the webhook as a process, and what a process costs.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { parse } from 'yaml';

/** As in the chart's templates/deployment.yaml. */
export const CHART_MALLOC = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '65536' };

/** The chart's own settings of the webhook: flags of node, resources. */
export function readChartValues() {
  return parse(readFileSync('charts/ado-git-identity/values.yaml', 'utf8')).webhook;
}

/**
 * Starts dist/webhook.cjs as in a pod, and waits until it is ready. Only the folder with the pod's token is elsewhere; so its
 * connection is given, as main.ts gives one, and the bundle of kubeconfig files, which a pod does not load, is not loaded here
 * either.
 * @param options `directory` for a file, `api` with `port`, `authorityPem` and `token`, `files` with `certificate` and `key`,
 *   and `waitUntil` of test/support.
 */
export async function startWebhookProcess({ node, flags, environment, directory, api, files, waitUntil }) {
  const authorize = { ca: api.authorityPem, headers: { authorization: `Bearer ${api.token}` } };
  const program = join(directory, 'start.cjs');
  writeFileSync(
    program,
    `require(${JSON.stringify(resolve('dist/webhook.cjs'))}).runWebhook({
      env: process.env,
      connect: async () => ({
        server: new URL('https://127.0.0.1:${api.port}'),
        authorize: async () => (${JSON.stringify(authorize)}),
      }),
      writeLog: (lines) => process.stdout.write(lines),
      writeError: (lines) => process.stderr.write(lines),
      stop: new AbortController().signal,
    });`,
  );
  const child = spawn(node, [...flags, program], {
    env: {
      ...environment,
      ADO_GIT_LISTEN_PORT: '0',
      ADO_GIT_HEALTH_PORT: '0',
      ADO_GIT_TLS_CERT_FILE: files.certificate,
      ADO_GIT_TLS_KEY_FILE: files.key,
      ADO_GIT_SIDECAR_IMAGE: 'registry.example/ado-git-identity:1',
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: String(api.port),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  // The end is enough: a fuzzer makes it log for hours.
  child.stdout.on('data', (chunk) => (output = (output + chunk).slice(-100_000)));
  const waitForLog = (message) =>
    waitUntil(`the webhook logs ${message}`, async () => output.includes(`"message":"${message}"`), {
      describe: () => ({ exitCode: child.exitCode, output }),
    });
  await waitForLog('the webhook is ready');
  const [, port] = /"port":(\d+)/.exec(output);
  return { child, pid: child.pid, port: Number(port), waitForLog };
}

/**
 * Everything that the modules export, in one object.
 * @param paths from the project's folder, such as `src/names.ts`.
 */
export async function loadModules(paths) {
  const directory = mkdtempSync(join(tmpdir(), 'ado-git-bench-modules-'));
  const outfile = join(directory, 'modules.mjs');
  try {
    await build({
      stdin: {
        contents: paths.map((path) => `export * from './${path}';`).join('\n'),
        resolveDir: process.cwd(),
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile,
      logLevel: 'error',
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Anonymous memory of a process, as the kernel counts it: MB, of 10^6 bytes. */
export function readAnonymousMemory(pid) {
  const [, kilobytes] = /^Anonymous:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return (Number(kilobytes) * 1024) / 1e6;
}

/** Milliseconds of CPU time that a process has used, all threads, user and system: in steps of 10 (proc(5), stat, 14 and 15). */
export function readCpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const ticksPerSecond = 100;
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** The most memory that a process has had, in MiB. */
export function readPeakMiB(pid) {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(kilobytes) / 1024;
}

// `npm run dev`: runs the webhook from its source, with the debugger, against the cluster of KUBECONFIG and with the certificates
// of certs/. Starts it again after each change. Arguments are flags for node; without any, --inspect.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { context } from 'esbuild';

const PROGRAM = '.dev/cli.cjs';
const NODE_FLAGS = process.argv.length > 2 ? process.argv.slice(2) : ['--inspect'];
const ENVIRONMENT = {
  KUBECONFIG: join(homedir(), '.kube/config'),
  ADO_GIT_TLS_CERT_FILE: 'certs/tls.crt',
  ADO_GIT_TLS_KEY_FILE: 'certs/tls.key',
  ADO_GIT_SIDECAR_IMAGE: 'ado-git-identity:dev',
  ADO_GIT_LOG_LEVEL: 'debug',
  ADO_GIT_DRAIN_SECONDS: '0',
  ...process.env,
};

let webhook;

async function restart({ errors }) {
  // esbuild has printed them; the webhook of the last good build keeps running.
  if (errors.length > 0) return;
  if (!existsSync(ENVIRONMENT.ADO_GIT_TLS_CERT_FILE)) await run([PROGRAM, 'certs', '--directory', 'certs']).ended;
  webhook?.process.kill('SIGTERM');
  await webhook?.ended;
  webhook = run(['--enable-source-maps', ...NODE_FLAGS, PROGRAM, 'webhook']);
  void webhook.ended.then((code) => {
    if (code !== null && code !== 0)
      console.error(`dev: the webhook ended with exit code ${code}; waiting for a change`);
  });
}

function run(args) {
  const child = spawn(process.execPath, args, { env: ENVIRONMENT, stdio: 'inherit' });
  return { process: child, ended: new Promise((resolve) => child.on('exit', resolve)) };
}

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const build = await context({
  entryPoints: ['src/cli/main.ts'],
  outfile: PROGRAM,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  sourcemap: true,
  logLevel: 'warning',
  alias: { punycode: 'punycode/punycode.js' },
  define: { PRODUCT_VERSION: JSON.stringify(version) },
  plugins: [{ name: 'restart', setup: ({ onEnd }) => onEnd(restart) }],
});
await build.watch();

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await build.dispose();
    webhook?.process.kill(signal);
    await webhook?.ended;
    process.exit(0);
  });
}

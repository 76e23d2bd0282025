/** The process of `dist/sidecar.cjs`: environment, arguments, streams and signals. */
import { reportError } from '../errors.js';
import { PRODUCT } from '../names.js';
import { listenToSignals } from '../signals.js';
import { VERSION } from '../version.js';
import { probe, PROBES } from './probe.js';
import { runSidecar } from './run.js';

const USAGE = `Usage: sidecar                run beside a workload and keep a token for git
       sidecar probe NAME     ask the running sidecar: ${PROBES.join(', ')}

Configured by environment variables (ADO_GIT_CLIENT_ID, ADO_GIT_TENANT_ID and more); logs are JSON lines on stdout.
Exit codes: 0 ended when asked, or the probe succeeded; 1 it could not run, or the probe failed; 2 wrong configuration or
usage.
`;

async function main(argv: readonly string[]): Promise<number> {
  const [command, argument] = argv;
  const name = PROBES.find((known) => known === argument);
  if (command === undefined) return await run();
  if (command === 'probe' && argv.length === 2 && name !== undefined) return (await probe(name, process.env)) ? 0 : 1;
  if (argv.length === 1 && command === '--version') process.stdout.write(`${PRODUCT} ${VERSION}\n`);
  else if (argv.length === 1 && command === '--help') process.stdout.write(USAGE);
  else {
    writeError(`sidecar: ${JSON.stringify(argv.join(' '))} is not understood.\n${USAGE}`);
    return 2;
  }
  return 0;
}

async function run(): Promise<number> {
  return await runSidecar({
    env: process.env,
    writeLog: (lines) => process.stdout.write(lines),
    writeError,
    stop: listenToSignals(process),
  });
}

function writeError(lines: string): void {
  process.stderr.write(lines);
}

// No top-level await: the bundle is CommonJS.
void main(process.argv.slice(2))
  .catch((error: unknown) => reportError('sidecar', error, writeError))
  .then((code) => process.exit(code));

/** The command line of the sidecar: a program of its own in the image, and the command `sidecar` of the CLI. */
import { PRODUCT } from '../names.js';
import type { Environment } from '../values/environment.js';
import { VERSION } from '../version.js';
import { probe, PROBES } from './probe.js';
import { runSidecar } from './run.js';

export interface SidecarIo {
  readonly env: Environment;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Aborted on SIGTERM or SIGINT, which from the first call on no longer end the process by themselves. */
  readonly stopSignal: () => AbortSignal;
}

/** For both; the CLI's help adds what each setting means. */
export const SIDECAR_USAGE = `Usage: ${PRODUCT} sidecar               keep a token for git beside a workload
       ${PRODUCT} sidecar probe NAME    ask the running sidecar: ${PROBES.join(', ')}

Configured by environment variables (docs/settings.md). Logs are JSON lines on standard output.
Exit codes: 0 stopped by a signal, or the probe succeeds; 1 it could not run, or the probe fails; 2 wrong configuration or usage.
`;

/** Runs until it is stopped, or asks the running sidecar. @returns the exit code. */
export async function runSidecarCommand(argv: readonly string[], io: SidecarIo): Promise<number> {
  const [command, argument] = argv;
  if (command === undefined) {
    return await runSidecar({ env: io.env, writeLog: io.stdout, writeError: io.stderr, stop: io.stopSignal() });
  }
  const name = PROBES.find((known) => known === argument);
  if (command === 'probe' && argv.length === 2 && name !== undefined) {
    const problem = await probe(name, io.env);
    if (problem !== undefined) io.stderr(problem);
    return problem === undefined ? 0 : 1;
  }
  if (argv.length === 1 && command === '--version') io.stdout(`${PRODUCT} ${VERSION}\n`);
  else if (argv.length === 1 && command === '--help') io.stdout(SIDECAR_USAGE);
  else {
    io.stderr(`sidecar: ${JSON.stringify(argv.join(' '))} is not understood; see: ${PRODUCT} sidecar --help\n`);
    return 2;
  }
  return 0;
}

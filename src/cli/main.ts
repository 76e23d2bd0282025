#!/usr/bin/env node
/** The process of `ado-git-identity COMMAND`; under the name `kubectl-ado_git` also of `kubectl ado-git`. */
import { reportError } from '../errors.js';
import { PRODUCT } from '../names.js';
import { listenToSignals } from '../signals.js';
import { VERSION } from '../version.js';
import type { CommandIo } from './io.js';

interface Command {
  readonly purpose: string;
  /** Loaded when it is called: the servers bring much that `--help` need not wait for. */
  readonly load: () => Promise<{
    readonly help: string;
    readonly run: (argv: readonly string[], io: CommandIo) => Promise<number>;
  }>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  webhook: {
    purpose: 'serve admission requests (in the cluster)',
    load: async () => {
      const { runWebhookCommand, WEBHOOK_HELP } = await import('./webhook.js');
      return { help: WEBHOOK_HELP, run: runWebhookCommand };
    },
  },
  sidecar: {
    purpose: 'keep a token for git beside a workload (in the pod)',
    load: async () => {
      const { runSidecarCommand, SIDECAR_HELP } = await import('./sidecar.js');
      return { help: SIDECAR_HELP, run: runSidecarCommand };
    },
  },
  inject: {
    purpose: 'inject the pod templates of a file, offline',
    load: async () => {
      const { runInject, INJECT_HELP } = await import('./inject.js');
      return { help: INJECT_HELP, run: runInject };
    },
  },
  uninject: {
    purpose: 'take out what inject added',
    load: async () => {
      const { runUninject, UNINJECT_HELP } = await import('./inject.js');
      return { help: UNINJECT_HELP, run: runUninject };
    },
  },
  certs: {
    purpose: 'make certificates for a development machine',
    load: async () => {
      const { runCerts, CERTS_HELP } = await import('./certs.js');
      return { help: CERTS_HELP, run: runCerts };
    },
  },
  demo: {
    purpose: 'show everything on this machine, with stand-ins for Entra and Azure DevOps',
    load: async () => {
      const { runDemo, DEMO_HELP } = await import('./demo.js');
      return { help: DEMO_HELP, run: runDemo };
    },
  },
};

const HELP = `Usage: ${PRODUCT} COMMAND [flags]

Gives pods access to Azure DevOps git repositories through Entra workload identity.

${Object.entries(COMMANDS)
  .map(([name, { purpose }]) => `  ${name.padEnd(10)} ${purpose}`)
  .join('\n')}

${PRODUCT} COMMAND --help tells more; --version prints the version.
Exit codes: 0 done; 1 not done, or done with findings; 2 wrong usage or configuration.
`;

async function main(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--help' || name === '-h' || name === 'help') {
    io.stdout(HELP);
    return 0;
  }
  if (name === '--version') {
    io.stdout(`${PRODUCT} ${VERSION}\n`);
    return 0;
  }
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    io.stderr(
      name === undefined ? HELP : `${PRODUCT}: ${JSON.stringify(name)} is not a command; see: ${PRODUCT} --help\n`,
    );
    return 2;
  }
  const { help, run } = await command.load();
  if (rest.includes('--help') || rest.includes('-h')) {
    io.stdout(help);
    return 0;
  }
  if (rest.includes('--version')) {
    io.stdout(`${PRODUCT} ${VERSION}\n`);
    return 0;
  }
  return await run(rest, io);
}

async function readStandardInput(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const part of process.stdin) text += String(part);
  return text;
}

// A reader that leaves early (head, less) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

void main(process.argv.slice(2), {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  stdin: readStandardInput,
  env: process.env,
  stopSignal: () => listenToSignals(process),
  isTerminal: process.stdout.isTTY,
})
  .catch((error: unknown) => reportError(PRODUCT, error, (lines) => process.stderr.write(lines)))
  .then((code) => {
    process.exitCode = code;
  });

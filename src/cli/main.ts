#!/usr/bin/env node
/** The program `ado-git-identity`, which kubectl also finds as its plug-in `kubectl ado-git`. */
import { reportError } from '../errors.js';
import { PRODUCT } from '../names.js';
import { listenToSignals } from '../signals.js';
import { VERSION } from '../version.js';
import type { CommandIo } from './io.js';

interface Command {
  readonly purpose: string;
  /** Loads the command's code, and with it the packages that it needs, when the command is called. */
  readonly load: () => Promise<LoadedCommand>;
}

interface LoadedCommand {
  readonly help: string;
  /** Returns the exit code. */
  readonly run: (argv: readonly string[], io: CommandIo) => Promise<number>;
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
    purpose: 'remove what inject added',
    load: async () => {
      const { runUninject, UNINJECT_HELP } = await import('./inject.js');
      return { help: UNINJECT_HELP, run: runUninject };
    },
  },
  certs: {
    purpose: 'create certificates for a development machine',
    load: async () => {
      const { runCerts, CERTS_HELP } = await import('./certs.js');
      return { help: CERTS_HELP, run: runCerts };
    },
  },
  demo: {
    purpose: 'show everything on this machine, with emulators of Entra and Azure DevOps',
    load: async () => {
      const { runDemoCommand, DEMO_HELP } = await import('./demo.js');
      return { help: DEMO_HELP, run: runDemoCommand };
    },
  },
};

const HELP = `Usage: ${PRODUCT} COMMAND [flags]

Gives pods access to Azure DevOps git repositories through Entra workload identity.

${Object.entries(COMMANDS)
  .map(([name, { purpose }]) => `  ${name.padEnd(10)} ${purpose}`)
  .join('\n')}

${PRODUCT} COMMAND --help explains a command; --version prints the version.
Exit codes: 0 success; 1 failure, or success with findings; 2 wrong usage or configuration.
`;

async function main([name, ...rest]: readonly string[], io: CommandIo): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') return print(HELP, io);
  if (name === '--version') return print(`${PRODUCT} ${VERSION}\n`, io);
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const problem = `${PRODUCT}: ${JSON.stringify(name)} is not a command; see: ${PRODUCT} --help\n`;
    io.stderr(name === undefined ? HELP : problem);
    return 2;
  }
  const { help, run } = await command.load();
  if (rest.includes('--help') || rest.includes('-h')) return print(help, io);
  if (rest.includes('--version')) return print(`${PRODUCT} ${VERSION}\n`, io);
  return await run(rest, io);
}

function print(text: string, io: CommandIo): number {
  io.stdout(text);
  return 0;
}

async function readStandardInput(): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

// It is no failure when a reader such as head or less closes the pipe early.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

void main(process.argv.slice(2), {
  stdout: (content) => process.stdout.write(content),
  stderr: (text) => process.stderr.write(text),
  stdin: readStandardInput,
  env: process.env,
  stopSignal: () => listenToSignals(process),
  isTerminal: process.stdout.isTTY,
  programFile: process.argv[1] ?? '',
})
  .catch((error: unknown) => reportError(PRODUCT, error, (lines) => process.stderr.write(lines)))
  .then((code) => {
    process.exitCode = code;
  });

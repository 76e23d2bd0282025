/** What the real sidecar runs against: a cluster's token issuer, a strict Entra, a state directory, and the process itself. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENV } from '../../src/defaults.js';
import {
  createTokenIssuer,
  type EntraEmulator,
  type EntraOptions,
  startEntraEmulator,
  type TokenIssuer,
} from '../../src/emulators/index.js';
import { credentialFileName, TOKEN_AUDIENCE } from '../../src/names.js';
import { epochMs, type Now } from '../../src/time.js';
import { plainNodeCommand } from './node-command.js';
import { findFreePort, waitUntil } from './wait.js';

export const CLIENT = '11111111-2222-3333-4444-555555555555';
export const TENANT = '99999999-8888-7777-6666-555555555555';
const ISSUER = 'https://issuer.example/cluster';
export const SUBJECT = 'system:serviceaccount:shop:builder';
export const CREDENTIAL_FILE = credentialFileName(CLIENT, TENANT);
export const SIDECAR = [new URL('../../dist/sidecar.cjs', import.meta.url).pathname];
/** The same program as a command of the CLI. */
export const SIDECAR_COMMAND = [new URL('../../dist/cli.cjs', import.meta.url).pathname, 'sidecar'];

export interface SidecarFixture {
  readonly entra: EntraEmulator;
  readonly directory: string;
  readonly authorityPem: string;
  readonly tokenFile: string;
  /** Writes a fresh projected token, of this subject and life. */
  readonly projectToken: (options?: { subject?: string; audience?: string; lifetimeSeconds?: number }) => Promise<void>;
  /** Environment of a sidecar that works. */
  readonly environment: (changes?: Readonly<Record<string, string | undefined>>) => NodeJS.ProcessEnv;
  readonly start: (
    changes?: Readonly<Record<string, string | undefined>>,
    argv?: readonly string[],
    program?: readonly string[],
  ) => Sidecar;
  /** Starts one on a free port. */
  readonly startOnPort: (changes?: Readonly<Record<string, string | undefined>>) => Promise<Sidecar>;
  /** The content of a file in the state directory; empty where there is none. */
  readonly read: (name: string) => string;
  readonly list: () => string[];
}

export interface Sidecar {
  readonly process: ChildProcess;
  readonly port: number;
  /** What it wrote to stdout and stderr. */
  readonly logs: () => string;
  readonly errors: () => string;
  /** Waits for its end. @returns the exit code, or the name of the signal that stopped it. */
  readonly waitForExit: () => Promise<number | string>;
  /** Sends the signal, SIGTERM unless given, and waits for the end. @returns as `waitForExit`. */
  readonly kill: (signal?: NodeJS.Signals) => Promise<number | string>;
}

const now: Now = () => epochMs(Date.now());

let keys: ReturnType<typeof makeKeys> | undefined;

/** Made once for all tests of a file: keys cost time. */
async function makeKeys(): Promise<{
  authority: KeyedCertificate;
  certificate: KeyedCertificate;
  cluster: TokenIssuer;
}> {
  const authority = await createAuthority({ commonName: 'test authority', days: 1, now: now() });
  const leaf = { commonName: 'localhost', dnsNames: ['localhost'], days: 1, now: now() };
  const certificate = await issueCertificate(authority, leaf);
  return { authority, certificate, cluster: await createTokenIssuer(ISSUER, now) };
}

export async function createSidecarFixture(t: Test, options: Partial<EntraOptions> = {}): Promise<SidecarFixture> {
  const root = mkdtempSync(join(tmpdir(), 'ado-git-sidecar-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const directory = join(root, 'state');
  const tokenFile = join(root, 'token');
  mkdirSync(directory);
  keys ??= makeKeys();
  const { authority, certificate, cluster } = await keys;
  const entra = await startEntraEmulator({
    certificate,
    tenants: { [TENANT]: ['shop.example'] },
    applications: [
      {
        clientId: CLIENT,
        tenantId: TENANT,
        federatedCredentials: [{ issuer: ISSUER, subject: SUBJECT, audience: TOKEN_AUDIENCE }],
      },
    ],
    findKeys: () => cluster.keys,
    now,
    ...options,
  });
  t.teardown(() => entra.close());

  const fixture: SidecarFixture = {
    entra,
    directory,
    authorityPem: authority.certificatePem,
    tokenFile,
    async projectToken({ subject = SUBJECT, audience = TOKEN_AUDIENCE, lifetimeSeconds = 3600 } = {}) {
      const [, , namespace = '', serviceAccount = ''] = subject.split(':');
      const token = await cluster.mintToken({ namespace, serviceAccount, pod: 'p', audience, lifetimeSeconds });
      writeFileSync(tokenFile, `${token}\n`);
    },
    environment: (changes = {}) => ({
      ...SIDECAR_PROCESS_ENV,
      ADO_GIT_CLIENT_ID: CLIENT,
      ADO_GIT_TENANT_ID: TENANT,
      ADO_GIT_AUTHORITY_HOST: entra.origin,
      ADO_GIT_TOKEN_FILE: tokenFile,
      ADO_GIT_DIRECTORY: directory,
      ADO_GIT_EXTRA_CA: authority.certificatePem,
      ...changes,
    }),
    start(changes = {}, argv = [], program = SIDECAR) {
      const env = fixture.environment(changes);
      const child = spawn(...plainNodeCommand(...SIDECAR_NODE_FLAGS, ...program, ...argv), {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      t.teardown(() => child.kill('SIGKILL'));
      let logs = '';
      let errors = '';
      child.stdout.on('data', (data) => (logs += String(data)));
      child.stderr.on('data', (data) => (errors += String(data).replace(/^Warning: disabling flag .*\n/m, '')));
      let exit: number | string | undefined;
      child.once('close', (code, signal) => (exit = code ?? signal ?? 'unknown'));
      const waitForExit = (): Promise<number | string> => waitUntil('the sidecar ends', () => exit);
      return {
        process: child,
        port: Number(env['ADO_GIT_PORT']),
        logs: () => logs,
        errors: () => errors,
        waitForExit,
        kill(signal) {
          child.kill(signal);
          return waitForExit();
        },
      };
    },
    startOnPort: async (changes) => fixture.start({ ADO_GIT_PORT: String(await findFreePort()), ...changes }),
    read: (name) => (existsSync(join(directory, name)) ? readFileSync(join(directory, name), 'utf8') : ''),
    list: () => readdirSync(directory).sort(),
  };
  await fixture.projectToken();
  return fixture;
}

const REPLY_TIMEOUT_MS = 30_000;

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Asks the sidecar over HTTP. */
export function ask(
  where: number | { readonly socketPath: string } | { readonly host: string; readonly port: number },
  path: string,
  options: { readonly method?: string; readonly host?: string } = {},
): Promise<Reply> {
  const target = typeof where === 'number' ? { host: '127.0.0.1', port: where } : where;
  return new Promise((resolve, reject) => {
    const headers = options.host === undefined ? {} : { host: options.host };
    const asked = request({ ...target, path, method: options.method ?? 'GET', headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (data) => (body += String(data)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.setTimeout(REPLY_TIMEOUT_MS, () => asked.destroy(new Error(`the sidecar did not answer ${path} in time`)));
    asked.on('error', reject);
    asked.end();
  });
}

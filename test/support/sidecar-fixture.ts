/** A world for the real sidecar: a cluster's issuer, a strict Entra, a state directory, and the process itself. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import {
  createTokenIssuer,
  type EntraEmulator,
  type EntraOptions,
  startEntraEmulator,
  type TokenIssuer,
} from '../../src/emulators/index.js';
import { credentialFileName, SIDECAR_NODE_FLAGS, SIDECAR_PROCESS_ENV, TOKEN_AUDIENCE } from '../../src/names.js';
import { epochMs } from '../../src/time.js';
import { plainNodeCommand } from './node-command.js';

export const CLIENT = '11111111-2222-3333-4444-555555555555';
export const TENANT = '99999999-8888-7777-6666-555555555555';
export const ISSUER = 'https://issuer.example/cluster';
export const SUBJECT = 'system:serviceaccount:shop:builder';
export const CREDENTIAL_FILE = credentialFileName(CLIENT, TENANT);
const SIDECAR = new URL('../../dist/sidecar.cjs', import.meta.url).pathname;

export interface World {
  readonly entra: EntraEmulator;
  readonly directory: string;
  readonly authorityPem: string;
  readonly tokenFile: string;
  /** Writes a fresh projected token, of this subject and life. */
  readonly projectToken: (options?: { subject?: string; audience?: string; lifetimeSeconds?: number }) => Promise<void>;
  /** Environment of a sidecar that works. */
  readonly environment: (changes?: Readonly<Record<string, string | undefined>>) => NodeJS.ProcessEnv;
  readonly start: (changes?: Readonly<Record<string, string | undefined>>, argv?: readonly string[]) => Sidecar;
  readonly read: (name: string) => string;
  readonly list: () => string[];
}

export interface Sidecar {
  readonly process: ChildProcess;
  readonly port: number;
  /** What it wrote to stdout and stderr. */
  readonly logs: () => string;
  readonly errors: () => string;
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

let keys: ReturnType<typeof makeKeys> | undefined;

/** Made once for all worlds of a file: keys cost time. */
async function makeKeys(): Promise<{
  authority: KeyedCertificate;
  certificate: KeyedCertificate;
  cluster: TokenIssuer;
}> {
  const now = epochMs(Date.now());
  const authority = await createAuthority({ commonName: 'test authority', days: 1, now });
  const leaf = { commonName: 'localhost', dnsNames: ['localhost'], days: 1, now };
  const certificate = await issueCertificate(authority, leaf);
  return { authority, certificate, cluster: await createTokenIssuer(ISSUER, () => epochMs(Date.now())) };
}

export async function makeWorld(t: Test, options: Partial<EntraOptions> = {}): Promise<World> {
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
    now: () => epochMs(Date.now()),
    ...options,
  });
  t.teardown(() => entra.close());

  const world: World = {
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
    start(changes = {}, argv = []) {
      const env = world.environment(changes);
      const child = spawn(...plainNodeCommand(...SIDECAR_NODE_FLAGS, SIDECAR, ...argv), {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      t.teardown(() => child.kill('SIGKILL'));
      let logs = '';
      let errors = '';
      child.stdout.on('data', (data) => (logs += String(data)));
      child.stderr.on('data', (data) => (errors += String(data).replace(/^Warning: disabling flag .*\n/m, '')));
      const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
      return { process: child, port: Number(env['ADO_GIT_PORT']), logs: () => logs, errors: () => errors, ended };
    },
    read: (name) => (existsSync(join(directory, name)) ? readFileSync(join(directory, name), 'utf8') : ''),
    list: () => readdirSync(directory).sort(),
  };
  await world.projectToken();
  return world;
}

/** A port that was free a moment ago. */
export async function findFreePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return String(port);
}

/** Waits until the condition holds; fails loudly where it never does. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 20): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await sleep(20);
  }
}

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
    asked.on('error', reject);
    asked.end();
  });
}

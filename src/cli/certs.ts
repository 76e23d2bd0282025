/** `certs`: certificates for a webhook that runs on a development machine. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAuthority, issueCertificate } from '../certificates/authority.js';
import { describeError, ProductError } from '../errors.js';
import { PRODUCT, WEBHOOK_ENV, webhookHost } from '../names.js';
import { epochMs } from '../time.js';
import { parseFlags } from './arguments.js';
import type { CommandIo } from './io.js';

const DEFAULT_DIRECTORY = 'certs';
const DAYS = 90;
/** Docker Desktop and Rancher Desktop: the name by which containers reach the machine that they run on. */
const HOST_OF_CONTAINERS = 'host.docker.internal';

export const CERTS_HELP = `Usage: ado-git-identity certs [flags]

Makes a certificate authority and a server certificate for a webhook that runs on this machine:
ca.crt, tls.crt and tls.key, valid for ${DAYS} days. Files of an earlier run are replaced, and a running webhook loads the
new ones by itself. The authority's key is not kept.

      --directory DIR      where the files are written (${DEFAULT_DIRECTORY})

Exit code 0; 1 if the directory can't be written; 2 for a wrong command line.
`;

/** Runs `certs`; returns the exit code. */
export async function runCerts(argv: readonly string[], io: CommandIo): Promise<number> {
  const { directory } = parseFlags('certs', argv, {
    directory: { type: 'string', default: DEFAULT_DIRECTORY },
  });
  try {
    await writeCertificates(directory);
  } catch (error) {
    const fix = 'choose another directory with --directory';
    throw new ProductError('output', `${directory} can't be written: ${describeError(error)}; ${fix}`);
  }
  io.stdout(
    `${join(directory, 'ca.crt')}, tls.crt and tls.key are valid for ${DAYS} days. Start the webhook with\n` +
      `  ${WEBHOOK_ENV.tlsCertFile}=${join(directory, 'tls.crt')} ${WEBHOOK_ENV.tlsKeyFile}=${join(directory, 'tls.key')}\n` +
      `and give its clients ca.crt (in a webhook configuration: the field caBundle, base64).\n`,
  );
  return 0;
}

async function writeCertificates(directory: string): Promise<void> {
  const now = epochMs(Date.now());
  const service = webhookHost(PRODUCT);
  const authority = await createAuthority({ commonName: `${PRODUCT} development`, days: DAYS, now });
  const server = await issueCertificate(authority, {
    commonName: 'localhost',
    dnsNames: ['localhost', HOST_OF_CONTAINERS, service, `${service}.cluster.local`],
    ipAddresses: ['127.0.0.1', '::1'],
    days: DAYS,
    now,
  });
  await mkdir(directory, { recursive: true });
  // The key first: a webhook that reads in between finds a pair that does not fit, and reads again.
  await writeFile(join(directory, 'tls.key'), server.keyPem, { mode: 0o600 });
  await chmod(join(directory, 'tls.key'), 0o600);
  await writeFile(join(directory, 'tls.crt'), server.certificatePem);
  await writeFile(join(directory, 'ca.crt'), authority.certificatePem);
}

/** Certificates of an authority, as node and openssl read them. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import { readValidity } from '../../src/certificates/pair.js';
import { ProductError } from '../../src/errors.js';
import { addMs, DAY_MS, type EpochMs, epochMs, toEpochMs, toEpochSeconds } from '../../src/time.js';
import { waitForEvent } from '../support/wait.js';

const now = epochMs(Date.now());
const authority = await createAuthority({ commonName: 'test authority', days: 30, now });
const leaf = await issueCertificate(authority, {
  commonName: 'localhost',
  dnsNames: ['localhost', '*.visualstudio.com'],
  ipAddresses: ['127.0.0.1', '::1'],
  days: 10,
  now,
});

void t.test('the certificates say what they are for', (t) => {
  const root = new X509Certificate(authority.certificatePem);
  const server = new X509Certificate(leaf.certificatePem);
  t.ok(root.ca);
  t.notOk(server.ca);
  t.ok(server.checkIssued(root));
  t.ok(server.verify(root.publicKey));
  t.ok(server.checkPrivateKey(createPrivateKey(leaf.keyPem)));
  t.same(server.keyUsage, ['1.3.6.1.5.5.7.3.1'], 'for TLS servers only');
  t.equal(server.subject, 'CN=localhost');
  t.equal(server.checkHost('localhost'), 'localhost');
  t.equal(server.checkHost('contoso.visualstudio.com'), '*.visualstudio.com');
  t.equal(server.checkHost('a.b.visualstudio.com'), undefined);
  t.equal(server.checkIP('127.0.0.1'), '127.0.0.1');
  t.equal(server.checkIP('127.0.0.2'), undefined);
  t.not(server.serialNumber, root.serialNumber);
  t.match(server.serialNumber, /^[4-7][0-9A-F]{31}$/, 'positive, 16 bytes');
  t.end();
});

void t.test('openssl accepts them under its strict rules', async (t) => {
  const directory = t.testdir({ 'ca.pem': authority.certificatePem, 'leaf.pem': leaf.certificatePem });
  const verify = (...options: string[]): string =>
    execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', 'ca.pem', ...options, 'leaf.pem'], {
      cwd: directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  t.equal(verify('-purpose', 'sslserver', '-verify_hostname', 'localhost'), 'leaf.pem: OK\n');
  t.throws(() => verify('-purpose', 'sslclient'));
  const text = execFileSync('openssl', ['x509', '-in', join(directory, 'ca.pem'), '-noout', '-text'], {
    encoding: 'utf8',
  });
  t.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  t.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign/);
  t.match(text, /Subject Key Identifier/);
  const other = await createAuthority({ commonName: 'test authority', days: 1, now });
  writeFileSync(join(directory, 'ca.pem'), other.certificatePem);
  t.throws(() => verify(), 'another authority of the same name is refused');
});

void t.test('the certificate ends no later than its authority', async (t) => {
  t.same(readValidity(leaf.certificatePem), {
    notBefore: toSeconds(addMs(now, -5 * 60_000)),
    notAfter: toSeconds(addMs(now, 10 * DAY_MS)),
  });
  const long = await issueCertificate(authority, { commonName: 'x', dnsNames: ['x'], days: 31, now });
  t.equal(readValidity(long.certificatePem).notAfter, readValidity(authority.certificatePem).notAfter);
});

void t.test('names that are missing or too long are refused', async (t) => {
  const cases: [string, Parameters<typeof issueCertificate>[1], RegExp][] = [
    ['no names', { commonName: 'x', dnsNames: [], days: 1, now }, /at least one DNS name/],
    ['long common name', { commonName: 'x'.repeat(65), dnsNames: ['x'], days: 1, now }, /has 65 characters/],
    ['no common name', { commonName: '', dnsNames: ['x'], days: 1, now }, /has 0 characters/],
  ];
  for (const [name, options, message] of cases) {
    await t.rejects(issueCertificate(authority, options), { code: 'certificate', message }, name);
  }
  await t.rejects(createAuthority({ commonName: '', days: 1, now }), ProductError);
});

void t.test('a TLS client that trusts the authority accepts them, any other refuses', async (t) => {
  const server = createServer({ cert: leaf.certificatePem, key: leaf.keyPem }, (_request, response) =>
    response.end('hello'),
  );
  t.teardown(() => server.close());
  server.listen(0, '127.0.0.1');
  await waitForEvent('the server listens', server, 'listening');
  const { port } = server.address() as AddressInfo;
  const get = async (host: string, ca?: string): Promise<number | undefined> => {
    const call = request({
      host: '127.0.0.1',
      port,
      servername: host,
      agent: false,
      ...(ca === undefined ? {} : { ca }),
    }).end();
    const [response] = (await waitForEvent('the response', call, 'response')) as [
      { statusCode?: number; resume: () => void },
    ];
    response.resume();
    return response.statusCode;
  };
  t.equal(await get('localhost', authority.certificatePem), 200);
  await t.rejects(get('localhost'), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  await t.rejects(get('dev.azure.com', authority.certificatePem), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
});

/** Certificates count in whole seconds. */
function toSeconds(moment: EpochMs): EpochMs {
  return toEpochMs(toEpochSeconds(moment));
}

/** Certificates of an authority, as node and openssl read them. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  createAuthority,
  generateKeys,
  issueCertificate,
  type IssueOptions,
  type KeyKind,
} from '../../src/certificates/authority.js';
import { checkPair, type KeyedCertificate, readValidity } from '../../src/certificates/pair.js';
import { ProductError } from '../../src/errors.js';
import { addMs, DAY_MS, type EpochMs, epochMs, toEpochMs, toEpochSeconds } from '../../src/time.js';
import { waitForEvent } from '../support/wait.js';

const now = epochMs(Date.now());
const authority = await createAuthority({ commonName: 'test authority', days: 30, now });
const issue: IssueOptions = {
  commonName: 'localhost',
  dnsNames: ['localhost', '*.visualstudio.com'],
  ipAddresses: ['127.0.0.1', '::1'],
  days: 10,
  now,
};
const leaf = await issueCertificate(authority, issue);
/** As earlier versions made them. */
const rsaLeaf = await issueCertificate(authority, issue, () => generateKeys('rsa'));
const LEAVES: Readonly<Record<KeyKind, KeyedCertificate>> = { ec: leaf, rsa: rsaLeaf };

void t.test('an authority has an RSA key, a server an EC key on P-256', (t) => {
  t.match(new X509Certificate(authority.certificatePem).publicKey, {
    asymmetricKeyType: 'rsa',
    asymmetricKeyDetails: { modulusLength: 2048 },
  });
  t.match(new X509Certificate(leaf.certificatePem).publicKey, {
    asymmetricKeyType: 'ec',
    asymmetricKeyDetails: { namedCurve: 'prime256v1' },
  });
  t.equal(new X509Certificate(rsaLeaf.certificatePem).publicKey.asymmetricKeyType, 'rsa');
  t.end();
});

for (const [kind, { certificatePem, keyPem }] of Object.entries(LEAVES)) {
  void t.test(`a pair with a key of the kind ${kind} is accepted, with the other's key refused`, (t) => {
    const names = { certificate: 'tls.crt', key: 'tls.key' };
    t.equal(checkPair({ certificatePem, keyPem }, names).notAfter, toSeconds(addMs(now, 10 * DAY_MS)));
    const other = kind === 'ec' ? LEAVES.rsa : LEAVES.ec;
    t.throws(() => checkPair({ certificatePem, keyPem: other.keyPem }, names), {
      code: 'certificate',
      message: /does not belong to the certificate/,
    });
    t.end();
  });
}

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
  const directory = t.testdir({
    'ca.pem': authority.certificatePem,
    'ec.pem': leaf.certificatePem,
    'rsa.pem': rsaLeaf.certificatePem,
  });
  const verify = (...options: string[]): string =>
    execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', 'ca.pem', ...options, 'ec.pem', 'rsa.pem'], {
      cwd: directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  t.equal(verify('-purpose', 'sslserver', '-verify_hostname', 'localhost'), 'ec.pem: OK\nrsa.pem: OK\n');
  t.throws(() => verify('-purpose', 'sslclient'));
  const describe = (file: string): string =>
    execFileSync('openssl', ['x509', '-in', join(directory, file), '-noout', '-text'], { encoding: 'utf8' });
  t.match(describe('ec.pem'), /Key Usage: critical\s+Digital Signature\n/, 'an EC key enciphers no key');
  t.match(describe('rsa.pem'), /Key Usage: critical\s+Digital Signature, Key Encipherment\n/);
  const text = describe('ca.pem');
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

for (const [kind, { certificatePem, keyPem }] of Object.entries(LEAVES)) {
  void t.test(`a TLS client that trusts the authority accepts them, any other refuses (${kind})`, (t) =>
    testHandshakes(t, { cert: certificatePem, key: keyPem }),
  );
}

async function testHandshakes(t: Test, pair: { readonly cert: string; readonly key: string }): Promise<void> {
  const server = createServer(pair, (_request, response) => response.end('hello'));
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
}

/** Certificates count in whole seconds. */
function toSeconds(moment: EpochMs): EpochMs {
  return toEpochMs(toEpochSeconds(moment));
}

/** Which pairs can be served, which of them API servers accept, and that the others are verified back. */
import { randomBytes } from 'node:crypto';
import forge from 'node-forge';
import t, { type Test } from 'tap';
import type { KeyPair } from '../../src/certificates/authority.js';
import { checkPair, type KeyedCertificate, readValidity } from '../../src/certificates/pair.js';
import type { CertificateSource } from '../../src/certificates/source.js';
import { createVerifiedSource } from '../../src/certificates/verified-source.js';
import { verifyPair } from '../../src/certificates/verify.js';
import { createLogger } from '../../src/log.js';
import { addMs, DAY_MS, type EpochMs, epochMs } from '../../src/time.js';
import { waitUntil } from '../support/wait.js';
import { createFastCertificates, generateRsaKeys } from './fast-certificates.js';
import { listUnsoundPairs } from './odd-certificates.js';

const IS_AUTHORITY = { name: 'basicConstraints', critical: true, cA: true };
const HOST = 'webhook.test.svc';
const fastCertificates = createFastCertificates();
const now = epochMs(Date.now());
const options = { days: 1, now: addMs(now, -60_000) };
const createAuthority = (commonName: string): Promise<KeyedCertificate> =>
  fastCertificates.createAuthority({ ...options, commonName });
const issue = (
  authority: KeyedCertificate,
  change: Partial<Parameters<typeof fastCertificates.issueCertificate>[1]> = {},
) => fastCertificates.issueCertificate(authority, { ...options, commonName: HOST, dnsNames: [HOST], ...change });

const root = await createAuthority('root');
const other = await createAuthority('other');

void t.test('a pair is verified as API servers verify it', async (t) => {
  const top = createOddCertificate({ commonName: 'top', extensions: [IS_AUTHORITY] });
  const intermediate = createOddCertificate({ commonName: 'intermediate', extensions: [IS_AUTHORITY], issuer: top });
  const leaf = await issue(root);
  const below = await issue(intermediate);
  const chain = { ...below, certificatePem: below.certificatePem + intermediate.certificatePem };
  const cases: Record<string, { pair: KeyedCertificate; bundle: string; refusal?: RegExp }> = {
    'issued by an authority in the bundle': { pair: leaf, bundle: other.certificatePem + root.certificatePem },
    'issued by none of them': { pair: leaf, bundle: other.certificatePem, refusal: /caBundle/ },
    'a chain to the root in the bundle': { pair: chain, bundle: top.certificatePem },
    'an intermediate in the bundle, without its root': { pair: below, bundle: intermediate.certificatePem },
    'its intermediate is missing': { pair: below, bundle: top.certificatePem, refusal: /caBundle/ },
    'for another name': {
      pair: await issue(root, { dnsNames: ['other.svc'] }),
      bundle: root.certificatePem,
      refusal: /subject alternative names/,
    },
    'with a common name only': {
      pair: createOddCertificate({ commonName: HOST, extensions: [], issuer: root }),
      bundle: root.certificatePem,
      refusal: /subject alternative names/,
    },
    expired: {
      pair: await issue(root, { now: addMs(now, -2 * DAY_MS) }),
      bundle: root.certificatePem,
      refusal: /expired/,
    },
    'nothing in the bundle': { pair: leaf, bundle: 'nonsense', refusal: /caBundle/ },
  };
  for (const [name, { pair, bundle, refusal }] of Object.entries(cases)) {
    const verification = verifyPair(pair, HOST, bundle);
    if (refusal === undefined) await t.resolves(verification, name);
    else await t.rejects(verification, { code: 'certificate', message: refusal }, name);
  }
});

for (const [name, { authority, leaf, reason }] of Object.entries(listUnsoundPairs(HOST, now))) {
  void t.test(`a pair is refused as API servers refuse it: ${name}`, async (t) => {
    const verification = Promise.resolve().then(async () => {
      checkPair(leaf, { certificate: 'tls.crt', key: 'tls.key' });
      await verifyPair(leaf, HOST, authority.certificatePem);
    });
    await t.rejects(verification, { code: 'certificate', message: reason });
  });
}

void t.test('a pair that OpenSSL would refuse to serve is refused', async (t) => {
  const names = { certificate: 'tls.crt', key: 'tls.key' };
  const leaf = await issue(root);
  t.strictSame(checkPair(leaf, names), readValidity(leaf.certificatePem));
  const weak = createOddCertificate({ commonName: 'weak', extensions: [], keys: generateRsaKeys(512) });
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const cases: Record<string, { pair: KeyedCertificate; message: RegExp }> = {
    'a key that is too short': { pair: weak, message: /^tls\.crt can't be served: .*too small/ },
    'a chain with a broken block': {
      pair: { ...leaf, certificatePem: leaf.certificatePem + broken },
      message: /^tls\.crt can't be served: /,
    },
    'a key of another certificate': {
      pair: { ...leaf, keyPem: weak.keyPem },
      message: /^the key in tls\.key does not belong to the certificate in tls\.crt/,
    },
  };
  for (const [name, { pair, message }] of Object.entries(cases))
    t.throws(() => checkPair(pair, names), { code: 'certificate', message }, name);
});

interface OddCertificate {
  readonly commonName: string;
  readonly extensions: object[];
  /** Without one it is self-signed. */
  readonly issuer?: KeyedCertificate;
  readonly keys?: KeyPair;
}

/** A certificate that the product would not issue. */
function createOddCertificate({ commonName, extensions, issuer, keys = generateRsaKeys(2048) }: OddCertificate) {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(keys.publicKeyPem);
  certificate.serialNumber = `40${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(options.now);
  certificate.validity.notAfter = new Date(addMs(now, DAY_MS));
  certificate.setSubject([{ name: 'commonName', value: commonName }]);
  const authority = issuer === undefined ? certificate : forge.pki.certificateFromPem(issuer.certificatePem);
  certificate.setIssuer(authority.subject.attributes);
  certificate.setExtensions(extensions);
  certificate.sign(forge.pki.privateKeyFromPem(issuer?.keyPem ?? keys.keyPem), forge.md.sha256.create());
  return { certificatePem: forge.pki.certificateToPem(certificate), keyPem: keys.keyPem };
}

/** A verified source after its first pass; each further pass is made on demand. */
async function startVerifiedSource(t: Test, first: KeyedCertificate) {
  let written = first;
  let bundle: string | undefined | Error = root.certificatePem;
  let time: EpochMs = now;
  let endSleep = (): void => undefined;
  let passes = 0;
  const log: string[] = [];
  const bundleValid: boolean[] = [];
  const changes: KeyedCertificate[] = [];
  const source: CertificateSource = {
    current: () => written,
    onChange: () => undefined,
    onRefusal: () => undefined,
    close: () => undefined,
  };
  const verified = createVerifiedSource({
    source,
    readCaBundle: () => (bundle instanceof Error ? Promise.reject(bundle) : Promise.resolve(bundle)),
    verify: (pair, caBundle) => verifyPair(pair, HOST, caBundle),
    onVerified: (isValid) => bundleValid.push(isValid),
    now: () => time,
    sleep: () => {
      passes += 1;
      return new Promise((resolve) => (endSleep = resolve));
    },
    log: createLogger(
      'info',
      (line) => log.push(line),
      () => time,
    ),
  });
  verified.onChange((pair) => changes.push(pair));
  await waitUntil('the first pass', () => bundleValid.length > 0);
  t.teardown(() => {
    verified.close();
    endSleep();
  });
  return {
    verified,
    log,
    changes,
    write: (pair: KeyedCertificate) => (written = pair),
    setBundle: (text: string | undefined | Error) => (bundle = text),
    setTime: (moment: EpochMs) => (time = moment),
    /** A pass that can't read the caBundle reports nothing about it. */
    passWithoutBundle: async (): Promise<void> => {
      const { length } = bundleValid;
      const before = passes;
      endSleep();
      await waitUntil('a pass without the caBundle', () => passes > before);
      t.equal(bundleValid.length, length);
    },
    /** @returns whether the caBundle verified what is served then. */
    pass: async (): Promise<boolean | undefined> => {
      const { length } = bundleValid;
      endSleep();
      await waitUntil('a pass', () => bundleValid.length > length);
      return bundleValid.at(-1);
    },
  };
}

void t.test('the certificate is changed before the caBundle', async (t) => {
  const [before, after] = [await issue(root), await issue(other)];
  const test = await startVerifiedSource(t, before);
  t.ok(await test.pass());
  test.write(after);
  t.ok(await test.pass());
  t.equal(test.verified.current(), before, 'the previous one is still served');
  t.match(test.log.join(''), /a new certificate waits, the previous one is still served/);
  await test.pass();
  t.equal(test.log.length, 1, 'logged once');
  test.setBundle(root.certificatePem + other.certificatePem);
  t.ok(await test.pass());
  t.equal(test.verified.current(), after);
  t.strictSame(test.changes, [after]);
});

void t.test('the caBundle is changed before the certificate', async (t) => {
  const [before, after] = [await issue(root), await issue(other)];
  const test = await startVerifiedSource(t, before);
  test.setBundle(other.certificatePem);
  t.notOk(await test.pass(), 'what is served is not verified');
  t.match(test.log.join(''), /"level":"error","message":"API servers refuse the certificate of this replica: /);
  test.write(after);
  t.ok(await test.pass());
  t.equal(test.verified.current(), after);
  t.match(test.log.at(-1), /certificate problem resolved/);
});

void t.test('neither is verified for a moment: the one that was stays', async (t) => {
  const [before, after] = [await issue(root), await issue(other)];
  const test = await startVerifiedSource(t, before);
  test.write(after);
  test.setBundle((await createAuthority('a third')).certificatePem);
  t.notOk(await test.pass());
  t.equal(test.verified.current(), before);
  test.setBundle(root.certificatePem);
  t.ok(await test.pass());
  t.equal(test.verified.current(), before);
});

void t.test('the caBundle can not be read', async (t) => {
  const [before, after] = [await issue(root), await issue(root)];
  const test = await startVerifiedSource(t, before);
  test.setBundle(undefined);
  test.write(after);
  t.notOk(await test.pass());
  t.equal(test.verified.current(), before, 'the verified one stays');
  t.match(test.log.join(''), /has no caBundle/);
  test.setBundle(new Error('connect ETIMEDOUT'));
  await test.passWithoutBundle();
  t.equal(test.verified.current(), before);
  t.match(test.log.join(''), /connect ETIMEDOUT/);
  test.setTime(addMs(now, 2 * DAY_MS));
  await test.passWithoutBundle();
  t.equal(test.verified.current(), after, 'an expired one is no better');
});

/** Pairs that can't be served, what API servers would say of others, and those that are held back until they would be taken. */
import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as sleepFor } from 'node:timers/promises';
import forge from 'node-forge';
import t, { type Test } from 'tap';
import { checkPair, type KeyedCertificate, readValidity } from '../../src/certificates/pair.js';
import type { CertificateSource } from '../../src/certificates/source.js';
import { createVerifiedSource } from '../../src/certificates/verified-source.js';
import { verifyPair } from '../../src/certificates/verify.js';
import { createLogger } from '../../src/log.js';
import { createQuickMaker } from './fast-certificates.js';

const HOST = 'webhook.test.svc';
const maker = createQuickMaker();
const now = Date.now();
const options = { days: 1, now: now - 60_000 };
const createAuthority = (commonName: string): Promise<KeyedCertificate> =>
  maker.createAuthority({ ...options, commonName });
const issue = (authority: KeyedCertificate, change: Partial<Parameters<typeof maker.issueCertificate>[1]> = {}) =>
  maker.issueCertificate(authority, { ...options, commonName: HOST, dnsNames: [HOST], ...change });

const root = await createAuthority('root');
const other = await createAuthority('other');

void t.test('a pair is judged as API servers judge it', async (t) => {
  const intermediate = maker.createIntermediate(root, { ...options, commonName: 'intermediate' });
  const leaf = await issue(root);
  const below = await issue(intermediate);
  const chain = { ...below, certificatePem: below.certificatePem + intermediate.certificatePem };
  const cases: Record<string, { pair: KeyedCertificate; bundle: string; refusal?: RegExp }> = {
    'issued by an authority in the bundle': { pair: leaf, bundle: other.certificatePem + root.certificatePem },
    'issued by none of them': { pair: leaf, bundle: other.certificatePem, refusal: /caBundle/ },
    'a chain to the root in the bundle': { pair: chain, bundle: root.certificatePem },
    'an intermediate in the bundle, without its root': { pair: below, bundle: intermediate.certificatePem },
    'its intermediate is missing': { pair: below, bundle: root.certificatePem, refusal: /caBundle/ },
    'for another name': {
      pair: await issue(root, { dnsNames: ['other.svc'] }),
      bundle: root.certificatePem,
      refusal: /subject alternative names/,
    },
    'with a common name alone': {
      pair: await issue(root, { dnsNames: [] }),
      bundle: root.certificatePem,
      refusal: /subject alternative names/,
    },
    'that has ended': {
      pair: await issue(root, { now: now - 2 * 86_400_000 }),
      bundle: root.certificatePem,
      refusal: /expired/,
    },
    'nothing in the bundle': { pair: leaf, bundle: 'nonsense', refusal: /caBundle/ },
  };
  for (const [name, { pair, bundle, refusal }] of Object.entries(cases)) {
    const verdict = verifyPair(pair, HOST, bundle);
    if (refusal === undefined) await t.resolves(verdict, name);
    else await t.rejects(verdict, { code: 'certificate', message: refusal }, name);
  }
});

void t.test('a pair that OpenSSL would refuse to serve is refused before', async (t) => {
  const names = { certificate: 'tls.crt', key: 'tls.key' };
  const leaf = await issue(root);
  t.equal(checkPair(leaf, names), readValidity(leaf.certificatePem).notAfter);
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const cases: Record<string, { pair: KeyedCertificate; message: RegExp }> = {
    'a key that is too short': { pair: createWeakPair(), message: /^tls\.crt can't be served: .*too small/ },
    'a chain with a broken block': {
      pair: { ...leaf, certificatePem: leaf.certificatePem + broken },
      message: /^tls\.crt can't be served: /,
    },
    'a key of another certificate': {
      pair: { ...leaf, keyPem: createWeakPair().keyPem },
      message: /^the key in tls\.key does not belong to the certificate in tls\.crt/,
    },
  };
  for (const [name, { pair, message }] of Object.entries(cases))
    t.throws(() => checkPair(pair, names), { code: 'certificate', message }, name);
});

function createWeakPair(): KeyedCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 512,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = '01';
  certificate.validity.notAfter = new Date(now + 86_400_000);
  certificate.setSubject([{ name: 'commonName', value: 'weak' }]);
  certificate.setIssuer(certificate.subject.attributes);
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  return { certificatePem: forge.pki.certificateToPem(certificate), keyPem: privateKey };
}

/** A held source after its first look; the next are made one at a time. */
async function hold(t: Test, first: KeyedCertificate) {
  let written = first;
  let bundle: string | undefined | Error = root.certificatePem;
  let time = now;
  let goOn = (): void => undefined;
  let looks = 0;
  const log: string[] = [];
  const bundleValid: boolean[] = [];
  const changes: KeyedCertificate[] = [];
  const source: CertificateSource = {
    current: () => written,
    onChange: () => undefined,
    onRefusal: () => undefined,
    close: () => undefined,
  };
  const held = createVerifiedSource({
    source,
    readCaBundle: () => (bundle instanceof Error ? Promise.reject(bundle) : Promise.resolve(bundle)),
    verify: (pair, caBundle) => verifyPair(pair, HOST, caBundle),
    onVerified: (isValid) => bundleValid.push(isValid),
    now: () => time,
    sleep: () => {
      looks += 1;
      return new Promise((resolve) => (goOn = resolve));
    },
    log: createLogger(
      'info',
      (line) => log.push(line),
      () => time,
    ),
  });
  held.onChange((pair) => changes.push(pair));
  while (bundleValid.length === 0) await sleepFor(1);
  t.teardown(() => {
    held.close();
    goOn();
  });
  return {
    held,
    log,
    changes,
    write: (pair: KeyedCertificate) => (written = pair),
    setBundle: (text: string | undefined | Error) => (bundle = text),
    setTime: (milliseconds: number) => (time = milliseconds),
    /** A look that can't read the caBundle tells nothing of it. */
    lookInVain: async (): Promise<void> => {
      const { length } = bundleValid;
      const seen = looks;
      goOn();
      while (looks === seen) await sleepFor(1);
      t.equal(bundleValid.length, length);
    },
    /** @returns whether the caBundle verified what is served then. */
    look: async (): Promise<boolean | undefined> => {
      const { length } = bundleValid;
      goOn();
      while (bundleValid.length === length) await sleepFor(1);
      return bundleValid.at(-1);
    },
  };
}

void t.test('the certificate is changed before the caBundle', async (t) => {
  const [before, after] = [await issue(root), await issue(other)];
  const world = await hold(t, before);
  t.ok(await world.look());
  world.write(after);
  t.ok(await world.look());
  t.equal(world.held.current(), before, 'the one before is served on');
  t.match(world.log.join(''), /a new certificate waits, and the one before it is served on/);
  await world.look();
  t.equal(world.log.length, 1, 'said once');
  world.setBundle(root.certificatePem + other.certificatePem);
  t.ok(await world.look());
  t.equal(world.held.current(), after);
  t.strictSame(world.changes, [after]);
});

void t.test('the caBundle is changed before the certificate', async (t) => {
  const [before, after] = [await issue(root), await issue(other)];
  const world = await hold(t, before);
  world.setBundle(other.certificatePem);
  t.notOk(await world.look(), 'what is served is not verified');
  t.match(world.log.join(''), /"level":"error","message":"API servers refuse the certificate of this replica: /);
  world.write(after);
  t.ok(await world.look());
  t.equal(world.held.current(), after);
  t.match(world.log.at(-1), /certificate problem resolved/);
});

void t.test('neither is verified for a moment: the one that was is not given away', async (t) => {
  const [before, after] = [await issue(root), await issue(other)];
  const world = await hold(t, before);
  world.write(after);
  world.setBundle((await createAuthority('a third')).certificatePem);
  t.notOk(await world.look());
  t.equal(world.held.current(), before);
  world.setBundle(root.certificatePem);
  t.ok(await world.look());
  t.equal(world.held.current(), before);
});

void t.test('the caBundle is not known', async (t) => {
  const [before, after] = [await issue(root), await issue(root)];
  const world = await hold(t, before);
  world.setBundle(undefined);
  world.write(after);
  t.notOk(await world.look());
  t.equal(world.held.current(), before, 'nothing is risked');
  t.match(world.log.join(''), /has no caBundle/);
  world.setBundle(new Error('connect ETIMEDOUT'));
  await world.lookInVain();
  t.equal(world.held.current(), before);
  t.match(world.log.join(''), /connect ETIMEDOUT/);
  world.setTime(now + 2 * 86_400_000);
  await world.lookInVain();
  t.equal(world.held.current(), after, 'what has ended is no better');
});

/** A Secret that somebody else wrote, and that looks sound: the webhook gets to certificates that API servers take. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { MAX_RETIRING } from '../../../src/certificates/managed/key-material.js';
import type { KeyedCertificate } from '../../../src/certificates/pair.js';
import { webhookHost } from '../../../src/names.js';
import { addMs, DAY_MS, type EpochMs, formatTime, SECOND_MS } from '../../../src/time.js';
import { NAMESPACE } from '../cluster-objects.js';
import {
  createOddAuthority,
  createOddCertificate,
  EXTENSIONS,
  listUnsoundPairs,
  type OddOptions,
  type OddPair,
} from '../odd-certificates.js';
import {
  createSimulatedCluster,
  MINUTE_MS,
  OVERLAP_MS,
  PASS_EVERY_MS,
  SETTINGS,
  type SimulatedCluster,
  START,
  startSimulatedCluster,
} from '../simulated-cluster.js';

const HOST = webhookHost(NAMESPACE);
const LAGS_MS = [0, SECOND_MS];
const YEAR_MS = 365 * DAY_MS;
/** A new replica waits for others to repair it for ten seconds, and API servers get two to learn of an authority. */
const REPAIRED_WITHIN_MS = 10 * SECOND_MS + 4 * PASS_EVERY_MS;

const encode = (text: string): string => Buffer.from(text).toString('base64');

function encodeData({ authority, leaf }: OddPair, retiring: unknown = []): Record<string, string> {
  return {
    'ca.crt': encode(authority.certificatePem),
    'ca.key': encode(authority.keyPem),
    'tls.crt': encode(leaf.certificatePem),
    'tls.key': encode(leaf.keyPem),
    'retiring.json': encode(JSON.stringify(retiring)),
  };
}

function setData({ objects }: SimulatedCluster, data: Record<string, string>): void {
  objects.damage((stored) => {
    for (const key of Object.keys(stored)) Reflect.deleteProperty(stored, key);
    Object.assign(stored, data);
  });
}

/** A replica that has just been installed finds the Secret. */
async function startWith(data: Record<string, string>): Promise<SimulatedCluster> {
  const cluster = createSimulatedCluster();
  const metadata = { uid: 'by-others', resourceVersion: '1' };
  cluster.objects.secret = { type: 'kubernetes.io/tls', data, metadata };
  cluster.start();
  await cluster.run(REPAIRED_WITHIN_MS, LAGS_MS);
  return cluster;
}

/** As a client sees it that trusts the caBundle; independent of what is tested. */
function verify(t: Test, cluster: SimulatedCluster): void {
  const directory = t.testdir({ 'ca.pem': cluster.bundle().join(''), 'tls.pem': cluster.served()[0] ?? '' });
  const at = String(Math.floor(cluster.now / SECOND_MS));
  const flags = ['-partial_chain', '-purpose', 'sslserver', '-verify_hostname', HOST, '-attime', at];
  t.doesNotThrow(() =>
    execFileSync('openssl', ['verify', ...flags, '-CAfile', join(directory, 'ca.pem'), join(directory, 'tls.pem')], {
      stdio: 'pipe',
    }),
  );
  t.ok(cluster.replicas.every(({ reconciler }) => reconciler.isReady()));
  t.strictSame(cluster.violations, []);
}

const validity = { from: addMs(START, -1 * DAY_MS), to: addMs(START, 80 * DAY_MS) };

function makePair(leaf: Partial<OddOptions> = {}, authority: Partial<OddOptions> = {}): OddPair {
  const issuer = createOddAuthority({ from: validity.from, to: addMs(START, YEAR_MS), ...authority });
  const extensions = [EXTENSIONS.dns(HOST), EXTENSIONS.serverAuth];
  return { authority: issuer, leaf: createOddCertificate({ ...validity, extensions, issuer, ...leaf }) };
}

const UNSOUND = listUnsoundPairs(HOST, START);

for (const [name, pair] of Object.entries(UNSOUND)) {
  void t.test(`nobody remembers a sound one: ${name}`, async (t) => {
    const cluster = await startWith(encodeData(pair));
    verify(t, cluster);
    t.not(cluster.served()[0], pair.leaf.certificatePem);
    const repaired = cluster.log.filter((line) => line.includes('was repaired'));
    t.equal(repaired.length, 1, 'logged once');
    t.match(repaired[0], /it was damaged: .*(ca|tls)\.crt/);
    const { length } = cluster.objects.writes;
    await cluster.run(10 * MINUTE_MS, LAGS_MS);
    t.equal(cluster.objects.writes.filter((write) => write.includes('secret')).length <= length, true, 'it rests');
    verify(t, cluster);
  });
}

void t.test('replicas that remember restore the Secret within a pass, and serve what they served', async (t) => {
  const cluster = await startSimulatedCluster(2);
  const data = { ...cluster.objects.secret?.data };
  const served = cluster.served();
  for (const [name, pair] of Object.entries(UNSOUND)) {
    setData(cluster, encodeData(pair));
    await cluster.run(PASS_EVERY_MS + SECOND_MS, LAGS_MS);
    t.strictSame(cluster.objects.secret?.data, data, name);
    t.strictSame(cluster.served(), served, name);
  }
  t.strictSame(cluster.violations, []);
});

for (const key of ['p256', 'ed25519'] as const) {
  void t.test(
    `an authority with a key that issues no more (${key}): its certificate stays until it is replaced`,
    async (t) => {
      const pair = makePair({}, { key });
      const cluster = await startWith(encodeData(pair));
      t.equal(cluster.served()[0], pair.leaf.certificatePem);
      verify(t, cluster);
      await cluster.run(OVERLAP_MS + 4 * PASS_EVERY_MS, LAGS_MS);
      t.not(cluster.served()[0], pair.leaf.certificatePem);
      t.ok(cluster.bundle().includes(pair.authority.certificatePem), 'its authority stays');
      verify(t, cluster);
    },
  );
}

const TOMORROW = addMs(START, DAY_MS);
const WRONG_TIMES: Readonly<Record<string, OddPair>> = {
  'a certificate that is not valid yet': makePair({ from: TOMORROW }),
  'an authority that is not valid yet': makePair({}, { from: TOMORROW }),
  'both are not valid yet': makePair({ from: TOMORROW }, { from: TOMORROW }),
  'a certificate that has expired': makePair({ to: addMs(START, -3600 * SECOND_MS) }),
  'an authority that has expired': makePair({}, { to: addMs(START, -3600 * SECOND_MS) }),
};

for (const [name, pair] of Object.entries(WRONG_TIMES)) {
  void t.test(`renewed at once: ${name}`, async (t) => {
    const cluster = await startWith(encodeData(pair));
    verify(t, cluster);
    t.not(cluster.served()[0], pair.leaf.certificatePem);
    const isAhead = name.includes('not valid yet');
    t.match(cluster.log.join(''), isAhead ? /not valid yet by the clock of this replica/ : /due for renewal/);
  });
}

void t.test('a certificate and an authority for a hundred years live no longer than our own', async (t) => {
  const pair = makePair({ to: addMs(START, 100 * YEAR_MS) }, { to: addMs(START, 100 * YEAR_MS) });
  const cluster = await startWith(encodeData(pair));
  t.equal(cluster.served()[0], pair.leaf.certificatePem, 'it is sound');
  cluster.jump((SETTINGS.leafDays * DAY_MS * 2) / 3);
  await cluster.run(5 * MINUTE_MS, LAGS_MS);
  t.not(cluster.served()[0], pair.leaf.certificatePem);
  cluster.objects.rotate('ca');
  await cluster.run(2 * OVERLAP_MS, LAGS_MS);
  t.ok(cluster.bundle().includes(pair.authority.certificatePem));
  cluster.jump((SETTINGS.leafDays + 1) * DAY_MS);
  await cluster.run(5 * MINUTE_MS);
  t.notOk(cluster.bundle().includes(pair.authority.certificatePem), 'nor does its authority stay longer');
});

interface Entry {
  readonly until: string;
  readonly certificate: string;
}

const unknown = createOddAuthority({ from: validity.from, to: addMs(START, 50 * YEAR_MS), name: 'unknown' });
const listRetiring = ({ objects }: SimulatedCluster): Entry[] =>
  JSON.parse(Buffer.from(objects.secret?.data['retiring.json'] ?? '', 'base64').toString()) as Entry[];
const makeEntry = (until: EpochMs, { certificatePem }: KeyedCertificate = unknown): Entry => {
  return { until: formatTime(until), certificate: certificatePem };
};

void t.test('a forged time keeps an unknown authority no longer than a certificate lives', async (t) => {
  const cluster = await startSimulatedCluster(2);
  const { data = {} } = cluster.objects.secret ?? {};
  setData(cluster, { ...data, 'retiring.json': encode(JSON.stringify([makeEntry(addMs(START, 40 * YEAR_MS))])) });
  await cluster.run(2 * PASS_EVERY_MS, LAGS_MS);
  const [{ until } = makeEntry(START)] = listRetiring(cluster);
  t.ok(Date.parse(until) <= addMs(cluster.now, SETTINGS.leafDays * DAY_MS), until);
  t.equal(cluster.log.filter((line) => line.includes('kept an authority for longer')).length, 1);
  const writes = cluster.objects.writes.length;
  await cluster.run(5 * MINUTE_MS, LAGS_MS);
  t.equal(cluster.objects.writes.length, writes, 'corrected once');
  cluster.jump((SETTINGS.leafDays + 1) * DAY_MS);
  await cluster.run(5 * MINUTE_MS);
  t.notOk(cluster.bundle().includes(unknown.certificatePem));
});

void t.test('the authority of the certificate in use stays, whatever time is forged', async (t) => {
  const { authority, leaf } = makePair();
  const other = createOddAuthority({ from: validity.from, to: addMs(START, YEAR_MS), name: 'other' });
  const past = makeEntry(addMs(START, -1 * DAY_MS), authority);
  const cluster = await startWith(encodeData({ authority: other, leaf }, [past, makeEntry(addMs(START, -1 * DAY_MS))]));
  t.equal(cluster.served()[0], leaf.certificatePem);
  t.strictSame(
    listRetiring(cluster).map(({ certificate }) => certificate),
    [authority.certificatePem],
  );
  verify(t, cluster);
});

void t.test('values that are malformed or too large are not used', async (t) => {
  const sound = encodeData(makePair());
  const notCa = createOddCertificate({ ...validity, extensions: [EXTENSIONS.notCa] });
  const many = Array.from({ length: MAX_RETIRING + 1 }, () => makeEntry(addMs(START, DAY_MS)));
  const list = (value: unknown): string => encode(JSON.stringify(value));
  const cases: Record<string, { data: Record<string, string>; cause: RegExp }> = {
    'a certificate of a megabyte': {
      data: { ...sound, 'tls.crt': encode(makePair().leaf.certificatePem + 'x'.repeat(900_000)) },
      cause: /tls\.crt has \d+ bytes, more than 524288/,
    },
    'a key of 100 kB': {
      data: { ...sound, 'tls.key': encode('x'.repeat(100_000)) },
      cause: /tls\.key has 100000 bytes/,
    },
    'too many that are retiring': { data: { ...sound, 'retiring.json': list(many) }, cause: /lists 33 certificates/ },
    'one that is no authority': {
      data: { ...sound, 'retiring.json': list([makeEntry(addMs(START, DAY_MS), notCa)]) },
      cause: /retiring\.json is not a list/,
    },
    'no list': { data: { ...sound, 'retiring.json': list({ until: 1 }) }, cause: /retiring\.json is not a list/ },
    'deep nesting': { data: { ...sound, 'retiring.json': encode('['.repeat(300_000)) }, cause: /is not a list/ },
    'a next certificate with another key': {
      data: { ...sound, 'next.crt': sound['tls.crt'] ?? '', 'next.key': encode(makePair({ key: 'p256' }).leaf.keyPem) },
      cause: /next\.crt/,
    },
  };
  for (const [name, { data, cause }] of Object.entries(cases)) {
    const cluster = await startWith(data);
    t.match(cluster.log.join(''), cause, name);
    verify(t, cluster);
  }
});

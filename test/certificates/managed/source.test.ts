/** How managed certificates recover from what others do to them; then real keys over real TLS. */
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleepFor } from 'node:timers/promises';
import t from 'tap';
import { createAuthority, generateKeys, issueCertificate } from '../../../src/certificates/authority.js';
import { startManagedCertificates } from '../../../src/certificates/managed/source.js';
import { verifyListener, waitUntilVerified } from '../../../src/certificates/verify.js';
import { createLogger } from '../../../src/log.js';
import { ROTATE_ANNOTATION, WEBHOOK_NAME, webhookHost } from '../../../src/names.js';
import { addMs, DAY_MS, type EpochMs, epochMs, SECOND_MS, type Sleep } from '../../../src/time.js';
import { waitForEvent, waitUntil } from '../../support/wait.js';
import { createClusterObjects, NAMESPACE } from '../cluster-objects.js';
import {
  allSame,
  fastCertificates,
  MINUTE_MS,
  OVERLAP_MS,
  PASS_EVERY_MS,
  SETTINGS,
  type SimulatedCluster,
  startSimulatedCluster,
} from '../simulated-cluster.js';

const LAGS_MS = [0, SECOND_MS, OVERLAP_MS];

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function clear(data: Record<string, string>, replacement: Record<string, string> = {}): void {
  for (const key of Object.keys(data)) Reflect.deleteProperty(data, key);
  Object.assign(data, replacement);
}

void t.test('a caBundle that others changed is restored within five seconds, without a hot loop', async (t) => {
  const now = epochMs(Date.now());
  const { certificatePem: unknown } = await fastCertificates.createAuthority({ commonName: 'unknown', days: 9, now });
  const cluster = await startSimulatedCluster(2);
  const good = cluster.bundle();
  const changes: Record<string, string> = {
    empty: '',
    nonsense: 'nonsense',
    unknown,
    'more than it should hold': good.join('') + unknown,
  };
  for (const [name, pem] of Object.entries(changes)) {
    cluster.objects.setBundle(pem);
    const { length } = cluster.objects.writes;
    await cluster.run(PASS_EVERY_MS + SECOND_MS);
    t.strictSame(cluster.bundle(), good, name);
    const writes = cluster.objects.writes.slice(length);
    t.equal(writes.filter((write) => write === 'patch configuration 200').length, 1, 'by one of them');
  }
  const events = cluster.replicas.flatMap((replica) => replica.events);
  t.equal(events.filter((event) => event === 'repaired ca-bundle').length, 3, 'where what is served was not verified');

  const { length } = cluster.objects.writes;
  const served = cluster.served();
  for (let count = 0; count < 600; count += 1) {
    cluster.objects.setBundle('');
    await cluster.run(100);
  }
  const tried = cluster.objects.writes.length - length;
  t.ok(
    tried <= (2 * MINUTE_MS) / PASS_EVERY_MS + 2,
    `each replica once in three seconds, in a minute of changes: ${String(tried)}`,
  );
  t.strictSame(cluster.served(), served);
});

void t.test(
  'an RSA key in the Secret, as earlier versions made it, is served until its certificate is due',
  async (t) => {
    const cluster = await startSimulatedCluster(2);
    const { data = {} } = cluster.objects.secret ?? {};
    const decode = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
    const dnsName = webhookHost(NAMESPACE);
    const rsa = await issueCertificate(
      { certificatePem: decode('ca.crt'), keyPem: decode('ca.key') },
      { commonName: WEBHOOK_NAME, dnsNames: [dnsName], days: SETTINGS.leafDays, now: cluster.now },
      () => generateKeys('rsa'),
    );
    for (const replica of [...cluster.replicas]) cluster.stop(replica);
    cluster.objects.damage((stored) => {
      stored['tls.crt'] = encode(rsa.certificatePem);
      stored['tls.key'] = encode(rsa.keyPem);
    });
    const { length } = cluster.objects.writes;
    cluster.start();
    cluster.start();
    await cluster.run(MINUTE_MS, LAGS_MS);
    t.strictSame(cluster.served(), [rsa.certificatePem, rsa.certificatePem]);
    t.equal(cluster.objects.writes.length, length, 'nothing is written');

    cluster.jump((2 / 3) * SETTINGS.leafDays * DAY_MS + DAY_MS);
    await cluster.run(10 * MINUTE_MS, LAGS_MS);
    for (const served of cluster.served()) {
      t.equal(new X509Certificate(served ?? '').publicKey.asymmetricKeyType, 'ec', 'the next one has an EC key');
    }
    t.strictSame(cluster.violations, []);
  },
);

void t.test('a damaged Secret is restored', async (t) => {
  const damages: Record<string, (cluster: SimulatedCluster) => void> = {
    deleted: ({ objects }) => (objects.secret = undefined),
    emptied: ({ objects }) => objects.damage((data) => clear(data, { 'tls.crt': '', 'tls.key': '' })),
    'half-written': ({ objects }) => objects.damage((data) => delete data['ca.key']),
    nonsense: ({ objects }) =>
      objects.damage((data) => clear(data, { 'tls.crt': encode('x'), 'tls.key': encode('y') })),
    'keys mixed up': ({ objects }) =>
      objects.damage((data) => ([data['tls.key'], data['ca.key']] = [data['ca.key'] ?? '', data['tls.key'] ?? ''])),
    'created again by hand': ({ objects }) => {
      objects.secret = { type: 'Opaque', data: {}, metadata: { uid: 'by-hand', resourceVersion: '1' } };
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    const cluster = await startSimulatedCluster(2);
    const data = { ...cluster.objects.secret?.data };
    const served = cluster.served();
    damage(cluster);
    await cluster.run(PASS_EVERY_MS + SECOND_MS, LAGS_MS);
    t.strictSame(cluster.objects.secret?.data, data, name);
    t.strictSame(cluster.served(), served);
    t.equal(cluster.bundle().length, 1);
    t.match(cluster.objects.secret, {
      metadata: { ownerReferences: [{ uid: cluster.objects.configuration?.metadata.uid }] },
    });
    t.match(cluster.log.join(''), /"level":"warn","message":"the Secret .* was repaired"/);
    t.strictSame(cluster.violations, []);
  }
});

void t.test('a replica that starts with a broken Secret waits for the others, then keeps what can be used', (t) => {
  const authorityOf = (cluster: SimulatedCluster): string | undefined => cluster.objects.secret?.data['ca.crt'];

  void t.test('others remember', async (t) => {
    const cluster = await startSimulatedCluster(1);
    const before = { ...cluster.objects.secret?.data };
    cluster.replicas.forEach((replica) => (replica.nextPass = addMs(cluster.now, 4 * SECOND_MS)));
    cluster.start();
    cluster.objects.damage((data) => clear(data, { 'tls.crt': '', 'tls.key': '' }));
    await cluster.run(12 * SECOND_MS, LAGS_MS);
    t.strictSame(cluster.objects.secret?.data, before);
  });

  void t.test('the authority is whole', async (t) => {
    const cluster = await startSimulatedCluster(1);
    const before = authorityOf(cluster);
    cluster.replicas.pop();
    cluster.objects.damage((data) => delete data['next.crt'] && (data['tls.key'] = encode('nonsense')));
    const { reconciler } = cluster.start();
    await cluster.run(9 * SECOND_MS);
    t.notOk(reconciler.isReady());
    await cluster.run(6 * SECOND_MS, [0, SECOND_MS]);
    t.ok(reconciler.isReady());
    t.equal(authorityOf(cluster), before);
    t.equal(cluster.bundle().length, 1);
  });

  void t.test('the certificate is whole, and the key of its authority is missing', async (t) => {
    const cluster = await startSimulatedCluster(1);
    const [before] = cluster.served();
    cluster.replicas.pop();
    cluster.objects.damage((data) => delete data['ca.key']);
    cluster.start();
    await cluster.run(15 * SECOND_MS, LAGS_MS);
    t.equal(cluster.served()[0], before, 'still served, API servers know it');
    t.equal(cluster.bundle().length, 2);
    await cluster.run(OVERLAP_MS + PASS_EVERY_MS, LAGS_MS);
    t.not(cluster.served()[0], before);
    t.strictSame(cluster.violations, []);
  });

  void t.test('nothing is left', async (t) => {
    const cluster = await startSimulatedCluster(1);
    const [old] = cluster.bundle();
    cluster.replicas.pop();
    cluster.objects.secret = undefined;
    cluster.start();
    cluster.start();
    await cluster.run(25 * SECOND_MS, [0, SECOND_MS]);
    t.ok(allSame(cluster.served()));
    t.equal(cluster.bundle().length, 2);
    t.ok(cluster.bundle().includes(old ?? ''), 'some replica may still serve a certificate of the old authority');
    t.strictSame(cluster.violations, []);
  });
  t.end();
});

void t.test('a backup from before the last rotation is restored over the Secret', async (t) => {
  const cluster = await startSimulatedCluster(2);
  const backup = { ...cluster.objects.secret?.data };
  cluster.objects.rotate('ca');
  await cluster.run(OVERLAP_MS + 2 * PASS_EVERY_MS, LAGS_MS);
  cluster.jump(85 * DAY_MS);
  cluster.objects.damage((data) => clear(data, backup));
  await cluster.run(5 * MINUTE_MS, LAGS_MS);
  t.strictSame(cluster.violations, []);
  t.ok(allSame(cluster.served()));
});

void t.test('the Secret is replaced with that of another installation', async (t) => {
  const cluster = await startSimulatedCluster(2);
  const { secret } = (await startSimulatedCluster(1)).objects;
  cluster.objects.damage((data) => clear(data, { ...secret?.data }));
  await cluster.run(OVERLAP_MS + 2 * PASS_EVERY_MS, LAGS_MS);
  t.strictSame(cluster.violations, []);
  t.ok(allSame(cluster.served()));
  t.equal(
    cluster.served()[0],
    Buffer.from(secret?.data['tls.crt'] ?? '', 'base64').toString(),
    'its certificate is used in the end',
  );
});

void t.test('Secret and configuration of another installation, without the permission to repair them', async (t) => {
  const cluster = await startSimulatedCluster(2);
  const other = await startSimulatedCluster(1);
  cluster.objects.forbidden.add('patch configuration');
  cluster.objects.setBundle(other.bundle().join(''));
  cluster.objects.damage((data) => clear(data, { ...other.objects.secret?.data }));
  await cluster.run(4 * PASS_EVERY_MS);
  t.strictSame(cluster.served(), [other.served()[0], other.served()[0]], 'what can be verified is served soon');
});

void t.test('a replica that was cut off comes back to find no Secret', async (t) => {
  const cluster = await startSimulatedCluster(2);
  const [first, second] = cluster.replicas;
  if (first === undefined || second === undefined) throw new Error('two replicas');
  second.isCutOff = true;
  cluster.objects.rotate('ca');
  await cluster.run(OVERLAP_MS + 2 * PASS_EVERY_MS, LAGS_MS);
  t.notOk(allSame(cluster.served()));
  cluster.objects.secret = undefined;
  second.isCutOff = false;
  first.nextPass = addMs(cluster.now, PASS_EVERY_MS);
  second.nextPass = cluster.now;
  await cluster.run(MINUTE_MS, LAGS_MS);
  t.strictSame(cluster.violations, []);
  t.ok(allSame(cluster.served()));
});

void t.test('what the API server refuses is logged once, and the certificate stays in use', async (t) => {
  for (const refused of ['get secret', 'update secret', 'get configuration', 'patch configuration'] as const) {
    const cluster = await startSimulatedCluster(2);
    const served = cluster.served();
    const keys = fastCertificates.count();
    cluster.objects.forbidden.add(refused);
    cluster.objects.rotate('ca');
    cluster.objects.setBundle(refused === 'patch configuration' ? '' : cluster.bundle().join(''));
    await cluster.run(5 * MINUTE_MS);
    t.strictSame(cluster.served(), served, refused);
    t.ok(cluster.replicas.every(({ reconciler }) => reconciler.isReady()));
    const [verb, object] = refused.split(' ');
    const kind = object === 'secret' ? 'Secret' : 'MutatingWebhookConfiguration';
    const logged = cluster.log.filter((line) => line.includes(`may not ${String(verb)} the ${kind}`));
    t.equal(logged.length, 2, 'once by each replica');
    t.match(logged[0], /its roles are not those of the chart: run helm upgrade again/);
    t.ok(
      fastCertificates.count() - keys <= 2 * 2 * 6,
      `keys are not made again and again: ${String(fastCertificates.count() - keys)}`,
    );
    cluster.objects.forbidden.clear();
    await cluster.run(2 * OVERLAP_MS);
    t.ok(allSame(cluster.served()));
    t.not(cluster.served()[0], served[0], 'the rotation is made later');
    t.equal(cluster.annotation, undefined);
  }
});

void t.test('a Secret that someone else created, where owners are guarded', async (t) => {
  const cluster = await startSimulatedCluster(2);
  cluster.objects.guardsOwners = true;
  const data = { ...cluster.objects.secret?.data };
  cluster.objects.secret = { type: 'Opaque', data: {}, metadata: { uid: 'by-hand', resourceVersion: '1' } };
  await cluster.run(PASS_EVERY_MS + SECOND_MS, LAGS_MS);
  t.strictSame(cluster.objects.secret.data, data, 'it is repaired without an owner');
  const { length } = cluster.objects.writes;
  await cluster.run(5 * MINUTE_MS, LAGS_MS);
  t.ok(cluster.objects.writes.length - length <= 2, 'the other replica tries once too, and no more');
  const logged = cluster.log.filter((line) => line.includes("can't be given its owner"));
  t.equal(logged.length, 2, 'once by each replica');
  t.match(
    logged[0],
    /can not delete; run kubectl delete secret -n ado-git ado-git-identity-webhook, and it is created again with its owner/,
  );
  cluster.objects.rotate('ca');
  await cluster.run(2 * OVERLAP_MS, LAGS_MS);
  t.equal(cluster.annotation, undefined, 'rotation still works');
  t.strictSame(cluster.violations, []);
  cluster.objects.damage((data) => clear(data, { 'tls.crt': '', 'tls.key': '' }));
  await cluster.run(PASS_EVERY_MS + SECOND_MS, LAGS_MS);
  t.equal(cluster.log.filter((line) => line.includes("can't be given its owner")).length, 2, 'not logged again');
  cluster.objects.secret = undefined;
  await cluster.run(PASS_EVERY_MS + SECOND_MS, LAGS_MS);
  t.match(cluster.objects.secret, { metadata: { ownerReferences: [{ kind: 'MutatingWebhookConfiguration' }] } });
  t.match(cluster.log.join(''), /certificate problem resolved/);
});

void t.test('installed, uninstalled, installed again', async (t) => {
  const cluster = await startSimulatedCluster(2);
  cluster.objects.forbidden.add('get configuration');
  await cluster.run(MINUTE_MS);
  const lastEvents = (): (string | undefined)[] => cluster.replicas.map(({ events }) => events.at(-1));
  t.strictSame(lastEvents(), ['valid', 'valid'], 'a caBundle that can not be read counts as unchanged');
  cluster.objects.forbidden.clear();
  cluster.objects.removeConfiguration();
  cluster.objects.collectGarbage();
  await cluster.run(MINUTE_MS);
  t.strictSame(lastEvents(), ['invalid', 'invalid'], 'one that is gone does not');
  t.equal(cluster.objects.secret, undefined, 'nothing is left');
  t.match(cluster.log.join(''), /there is no MutatingWebhookConfiguration/);
  cluster.objects.addConfiguration();
  await cluster.run(PASS_EVERY_MS + SECOND_MS);
  cluster.objects.collectGarbage();
  t.ok(cluster.objects.secret, 'it belongs to the new configuration');
  t.equal(cluster.bundle().length, 1);

  const { secret } = cluster.objects;
  if (secret !== undefined) delete secret.metadata.ownerReferences;
  cluster.objects.damage(() => undefined);
  await cluster.run(PASS_EVERY_MS + SECOND_MS);
  t.match(cluster.objects.secret, { metadata: { ownerReferences: [{ kind: 'MutatingWebhookConfiguration' }] } });
});

void t.test('over real TLS, with real keys', async (t) => {
  const now = (): EpochMs => epochMs(Date.now());
  const objects = createClusterObjects(now);
  objects.isAway = true;
  const logged: string[] = [];
  const log = createLogger('debug', (line) => logged.push(line), now);
  // Sleeps are ten times shorter; the clock of the certificates is real.
  const sleep: Sleep = (spanMs, signal) => sleepFor(spanMs / 10, undefined, { signal }).catch(() => undefined);
  const certificates = await startManagedCertificates({
    api: objects.api,
    namespace: NAMESPACE,
    podName: 'webhook-1',
    settings: { ...SETTINGS, overlapSeconds: 1 },
    now,
    log,
    sleep,
    random: Math.random,
  });
  const stop = new AbortController();
  const placeholder = certificates.current();
  const server = createServer({ cert: placeholder.certificatePem, key: placeholder.keyPem });
  certificates.onChange(({ certificatePem, keyPem }) => server.setSecureContext({ cert: certificatePem, key: keyPem }));
  server.listen(0, '127.0.0.1');
  await waitForEvent('the server listens', server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.teardown(() => {
    stop.abort();
    certificates.close();
    server.close();
  });
  t.notOk(certificates.isReady());
  t.equal(certificates.caBundle(), undefined);

  objects.isAway = false;
  const readCaBundle = (): Promise<string | undefined> =>
    Promise.resolve(certificates.isReady() ? certificates.caBundle() : undefined);
  t.ok(await waitUntilVerified({ port, namespace: NAMESPACE, readCaBundle, sleep, signal: stop.signal, log }));
  const first = certificates.current().certificatePem;
  t.not(first, placeholder.certificatePem);
  t.match(logged.join(''), /"debug","message":"not ready: .*caBundle of the webhook configuration is not known/);

  objects.rotate('ca');
  const isRotated = (): boolean => objects.secret?.metadata.annotations?.[ROTATE_ANNOTATION] === undefined;
  await waitUntil('the annotation is removed after the rotation', isRotated);
  t.not(certificates.current().certificatePem, first);
  const bundle = objects.bundleAt(now());
  await verifyListener(port, `${WEBHOOK_NAME}.${NAMESPACE}.svc`, bundle);

  const stranger = await createAuthority({ commonName: 'stranger', days: 1, now: now() });
  const name = `${WEBHOOK_NAME}.${NAMESPACE}.svc`;
  await t.rejects(verifyListener(port, name, stranger.certificatePem), { code: 'certificate', message: /caBundle/ });
  await t.rejects(verifyListener(port, 'other.svc', bundle), { code: 'certificate', message: /other\.svc/ });
  const leaf = await issueCertificate(stranger, { commonName: 'x', dnsNames: [name], days: 1, now: now() });
  server.setSecureContext({ cert: leaf.certificatePem, key: leaf.keyPem });
  await t.rejects(verifyListener(port, name, bundle), { code: 'certificate' });
  await verifyListener(port, name, stranger.certificatePem);
  t.notMatch(logged.join(''), /PRIVATE KEY/);
});

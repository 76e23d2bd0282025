/** What happens to managed certificates, and how they mend; then the real thing with real keys over real TLS. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleepFor } from 'node:timers/promises';
import t from 'tap';
import { createAuthority, issueCertificate } from '../../../src/certificates/authority.js';
import { startManagedCertificates } from '../../../src/certificates/managed/source.js';
import { verifyListener, waitUntilVerified } from '../../../src/certificates/verify.js';
import { createLogger } from '../../../src/log.js';
import { WEBHOOK_NAME } from '../../../src/names.js';
import { createClusterObjects, NAMESPACE } from '../cluster-objects.js';
import {
  allSame,
  DAY,
  LOOK,
  maker,
  MINUTE,
  OVERLAP,
  SECOND,
  SETTINGS,
  startWorld,
  World,
} from '../simulated-cluster.js';

const LAGS = [0, SECOND, OVERLAP];

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function clear(data: Record<string, string>, replacement: Record<string, string> = {}): void {
  for (const key of Object.keys(data)) Reflect.deleteProperty(data, key);
  Object.assign(data, replacement);
}

void t.test('a caBundle that was undone is put back within five seconds, without a hot loop', async (t) => {
  const { certificatePem: foreign } = await maker.createAuthority({ commonName: 'foreign', days: 9, now: Date.now() });
  const world = await startWorld(2);
  const good = world.bundle();
  const undo: Record<string, string> = {
    empty: '',
    nonsense: 'nonsense',
    foreign,
    'more than it should hold': good.join('') + foreign,
  };
  for (const [name, pem] of Object.entries(undo)) {
    world.objects.setBundle(pem);
    const { length } = world.objects.writes;
    await world.run(LOOK + SECOND);
    t.strictSame(world.bundle(), good, name);
    const writes = world.objects.writes.slice(length);
    t.equal(writes.filter((write) => write === 'patch configuration 200').length, 1, 'by one of them');
  }
  const events = world.replicas.flatMap((replica) => replica.events);
  t.equal(events.filter((event) => event === 'repaired ca-bundle').length, 3, 'where what is served was not verified');

  const { length } = world.objects.writes;
  const certificates = world.served();
  for (let count = 0; count < 600; count += 1) {
    world.objects.setBundle('');
    await world.run(100);
  }
  const tried = world.objects.writes.length - length;
  t.ok(
    tried <= (2 * MINUTE) / LOOK + 2,
    `each replica once in three seconds, in a minute of undoing: ${String(tried)}`,
  );
  t.strictSame(world.served(), certificates);
});

void t.test('a Secret that was damaged is put back as it was', async (t) => {
  const damages: Record<string, (world: World) => void> = {
    deleted: ({ objects }) => (objects.secret = undefined),
    emptied: ({ objects }) => objects.damage((data) => clear(data, { 'tls.crt': '', 'tls.key': '' })),
    'half-written': ({ objects }) => objects.damage((data) => delete data['ca.key']),
    nonsense: ({ objects }) =>
      objects.damage((data) => clear(data, { 'tls.crt': encode('x'), 'tls.key': encode('y') })),
    'keys mixed up': ({ objects }) =>
      objects.damage((data) => ([data['tls.key'], data['ca.key']] = [data['ca.key'] ?? '', data['tls.key'] ?? ''])),
    'made anew by hand': ({ objects }) => {
      objects.secret = { type: 'Opaque', data: {}, metadata: { uid: 'by-hand', resourceVersion: '1' } };
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    const world = await startWorld(2);
    const data = { ...world.objects.secret?.data };
    const certificates = world.served();
    damage(world);
    await world.run(LOOK + SECOND, LAGS);
    t.strictSame(world.objects.secret?.data, data, name);
    t.strictSame(world.served(), certificates);
    t.equal(world.bundle().length, 1);
    t.match(world.objects.secret, {
      metadata: { ownerReferences: [{ uid: world.objects.configuration?.metadata.uid }] },
    });
    t.match(world.log.join(''), /"level":"warn","message":"the Secret .* was repaired"/);
    t.strictSame(world.violations, []);
  }
});

void t.test('who starts with a broken Secret leaves it to those that remember, then saves what can be saved', (t) => {
  const authorityOf = (world: World): string | undefined => world.objects.secret?.data['ca.crt'];

  void t.test('others remember', async (t) => {
    const world = await startWorld(1);
    const before = { ...world.objects.secret?.data };
    world.replicas.forEach((replica) => (replica.nextLook = world.now + 4 * SECOND));
    world.start();
    world.objects.damage((data) => clear(data, { 'tls.crt': '', 'tls.key': '' }));
    await world.run(12 * SECOND, LAGS);
    t.strictSame(world.objects.secret?.data, before);
  });

  void t.test('the authority is whole', async (t) => {
    const world = await startWorld(1);
    const before = authorityOf(world);
    world.replicas.pop();
    world.objects.damage((data) => delete data['next.crt'] && (data['tls.key'] = encode('nonsense')));
    const { looks } = world.start();
    await world.run(9 * SECOND);
    t.notOk(looks.isReady());
    await world.run(6 * SECOND, [0, SECOND]);
    t.ok(looks.isReady());
    t.equal(authorityOf(world), before);
    t.equal(world.bundle().length, 1);
  });

  void t.test('the certificate is whole, and its authority lost its key', async (t) => {
    const world = await startWorld(1);
    const [before] = world.served();
    world.replicas.pop();
    world.objects.damage((data) => delete data['ca.key']);
    world.start();
    await world.run(15 * SECOND, LAGS);
    t.equal(world.served()[0], before, 'served on, API servers know it');
    t.equal(world.bundle().length, 2);
    await world.run(OVERLAP + LOOK, LAGS);
    t.not(world.served()[0], before);
    t.strictSame(world.violations, []);
  });

  void t.test('nothing is left', async (t) => {
    const world = await startWorld(1);
    const [old] = world.bundle();
    world.replicas.pop();
    world.objects.secret = undefined;
    world.start();
    world.start();
    await world.run(25 * SECOND, [0, SECOND]);
    t.ok(allSame(world.served()));
    t.equal(world.bundle().length, 2);
    t.ok(world.bundle().includes(old ?? ''), 'some replica may still serve a certificate of the old authority');
    t.strictSame(world.violations, []);
  });
  t.end();
});

void t.test('a backup from before the last rotation is restored over the Secret', async (t) => {
  const world = await startWorld(2);
  const backup = { ...world.objects.secret?.data };
  world.objects.rotate('ca');
  await world.run(OVERLAP + 2 * LOOK, LAGS);
  world.jump(85 * DAY);
  world.objects.damage((data) => clear(data, backup));
  await world.run(5 * MINUTE, LAGS);
  t.strictSame(world.violations, []);
  t.ok(allSame(world.served()));
});

void t.test('the Secret of another installation is put in its place', async (t) => {
  const world = await startWorld(2);
  const { secret } = (await startWorld(1)).objects;
  world.objects.damage((data) => clear(data, { ...secret?.data }));
  await world.run(OVERLAP + 2 * LOOK, LAGS);
  t.strictSame(world.violations, []);
  t.ok(allSame(world.served()));
  t.equal(world.served()[0], Buffer.from(secret?.data['tls.crt'] ?? '', 'base64').toString(), 'it is used in the end');
});

void t.test('Secret and configuration of another installation, and no right to mend them', async (t) => {
  const world = await startWorld(2);
  const other = await startWorld(1);
  world.objects.forbidden.add('patch configuration');
  world.objects.setBundle(other.bundle().join(''));
  world.objects.damage((data) => clear(data, { ...other.objects.secret?.data }));
  await world.run(4 * LOOK);
  t.strictSame(world.served(), [other.served()[0], other.served()[0]], 'what can be verified is served soon');
});

void t.test('a replica that was cut off comes back to find no Secret', async (t) => {
  const world = await startWorld(2);
  const [first, second] = world.replicas;
  if (first === undefined || second === undefined) throw new Error('two replicas');
  second.isCutOff = true;
  world.objects.rotate('ca');
  await world.run(OVERLAP + 2 * LOOK, LAGS);
  t.notOk(allSame(world.served()));
  world.objects.secret = undefined;
  second.isCutOff = false;
  first.nextLook = world.now + LOOK;
  second.nextLook = world.now;
  await world.run(MINUTE, LAGS);
  t.strictSame(world.violations, []);
  t.ok(allSame(world.served()));
});

void t.test('what the API server refuses is said once, and what there is goes on being served', async (t) => {
  for (const refused of ['get secret', 'update secret', 'get configuration', 'patch configuration'] as const) {
    const world = await startWorld(2);
    const certificates = world.served();
    const keys = maker.count();
    world.objects.forbidden.add(refused);
    world.objects.rotate('ca');
    world.objects.setBundle(refused === 'patch configuration' ? '' : world.bundle().join(''));
    await world.run(5 * MINUTE);
    t.strictSame(world.served(), certificates, refused);
    t.ok(world.replicas.every(({ looks }) => looks.isReady()));
    const [verb, object] = refused.split(' ');
    const kind = object === 'secret' ? 'Secret' : 'MutatingWebhookConfiguration';
    const said = world.log.filter((line) => line.includes(`may not ${String(verb)} the ${kind}`));
    t.equal(said.length, 2, 'once by each');
    t.match(said[0], /its roles are not those of the chart: run helm upgrade again/);
    t.ok(maker.count() - keys <= 2 * 2 * 6, `keys are not made over and over: ${String(maker.count() - keys)}`);
    world.objects.forbidden.clear();
    await world.run(2 * OVERLAP);
    t.ok(allSame(world.served()));
    t.not(world.served()[0], certificates[0], 'the rotation is made up for');
    t.equal(world.annotation, undefined);
  }
});

void t.test('a Secret that someone else made, where owners are guarded', async (t) => {
  const world = await startWorld(2);
  world.objects.guardsOwners = true;
  const data = { ...world.objects.secret?.data };
  world.objects.secret = { type: 'Opaque', data: {}, metadata: { uid: 'by-hand', resourceVersion: '1' } };
  await world.run(LOOK + SECOND, LAGS);
  t.strictSame(world.objects.secret.data, data, 'it is repaired without an owner');
  const { length } = world.objects.writes;
  await world.run(5 * MINUTE, LAGS);
  t.ok(world.objects.writes.length - length <= 2, 'the other replica tries once too, and no more');
  const said = world.log.filter((line) => line.includes("can't be given its owner"));
  t.equal(said.length, 2, 'once by each');
  t.match(said[0], /can not delete; delete it by hand and it is made anew with its owner/);
  world.objects.rotate('ca');
  await world.run(2 * OVERLAP, LAGS);
  t.equal(world.annotation, undefined, 'rotation goes on');
  t.strictSame(world.violations, []);
  world.objects.damage((data) => clear(data, { 'tls.crt': '', 'tls.key': '' }));
  await world.run(LOOK + SECOND, LAGS);
  t.equal(world.log.filter((line) => line.includes("can't be given its owner")).length, 2, 'not said again');
  world.objects.secret = undefined;
  await world.run(LOOK + SECOND, LAGS);
  t.match(world.objects.secret, { metadata: { ownerReferences: [{ kind: 'MutatingWebhookConfiguration' }] } });
  t.match(world.log.join(''), /certificate problem resolved/);
});

void t.test('installed, uninstalled, installed again', async (t) => {
  const world = await startWorld(2);
  world.objects.forbidden.add('get configuration');
  await world.run(MINUTE);
  const lastEvents = (): (string | undefined)[] => world.replicas.map(({ events }) => events.at(-1));
  t.strictSame(lastEvents(), ['valid', 'valid'], 'a caBundle that can not be read is not taken for undone');
  world.objects.forbidden.clear();
  world.objects.removeConfiguration();
  world.objects.collectGarbage();
  await world.run(MINUTE);
  t.strictSame(lastEvents(), ['invalid', 'invalid'], 'one that is gone is');
  t.equal(world.objects.secret, undefined, 'nothing is left behind');
  t.match(world.log.join(''), /there is no MutatingWebhookConfiguration/);
  world.objects.addConfiguration();
  await world.run(LOOK + SECOND);
  world.objects.collectGarbage();
  t.ok(world.objects.secret, 'it goes with the new configuration');
  t.equal(world.bundle().length, 1);

  const { secret } = world.objects;
  if (secret !== undefined) delete secret.metadata.ownerReferences;
  world.objects.damage(() => undefined);
  await world.run(LOOK + SECOND);
  t.match(world.objects.secret, { metadata: { ownerReferences: [{ kind: 'MutatingWebhookConfiguration' }] } });
});

void t.test('over real TLS, with real keys', async (t) => {
  const objects = createClusterObjects(Date.now);
  objects.isAway = true;
  const logged: string[] = [];
  const log = createLogger('info', (line) => logged.push(line), Date.now);
  const sleep = (milliseconds: number, signal: AbortSignal): Promise<void> =>
    // Ten times faster, but for the clock of the certificates.
    sleepFor(milliseconds / 10, undefined, { signal }).catch(() => undefined);
  const certificates = await startManagedCertificates({
    api: objects.api,
    namespace: NAMESPACE,
    podName: 'webhook-1',
    settings: { ...SETTINGS, overlapSeconds: 1 },
    now: Date.now,
    log,
    sleep,
    random: Math.random,
  });
  const stop = new AbortController();
  const placeholder = certificates.current();
  const server = createServer({ cert: placeholder.certificatePem, key: placeholder.keyPem });
  certificates.onChange(({ certificatePem, keyPem }) => server.setSecureContext({ cert: certificatePem, key: keyPem }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
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
  t.match(logged.join(''), /could not verify the webhook yet/);

  objects.rotate('ca');
  const isRotated = (): boolean =>
    objects.secret?.metadata.annotations?.['ado-git.workload.identity/rotate'] === undefined;
  while (!isRotated()) await sleepFor(20);
  t.not(certificates.current().certificatePem, first);
  const bundle = objects.bundleAt(Date.now());
  await verifyListener(port, `${WEBHOOK_NAME}.${NAMESPACE}.svc`, bundle);

  const stranger = await createAuthority({ commonName: 'stranger', days: 1, now: Date.now() });
  const name = `${WEBHOOK_NAME}.${NAMESPACE}.svc`;
  await t.rejects(verifyListener(port, name, stranger.certificatePem), { code: 'certificate', message: /caBundle/ });
  await t.rejects(verifyListener(port, 'other.svc', bundle), { code: 'certificate', message: /other\.svc/ });
  const leaf = await issueCertificate(stranger, { commonName: 'x', dnsNames: [name], days: 1, now: Date.now() });
  server.setSecureContext({ cert: leaf.certificatePem, key: leaf.keyPem });
  await t.rejects(verifyListener(port, name, bundle), { code: 'certificate' });
  await verifyListener(port, name, stranger.certificatePem);
  t.notMatch(logged.join(''), /PRIVATE KEY/);
});

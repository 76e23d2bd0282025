/** When certificates change, and that every API server can verify what is served at any time. */
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { WEBHOOK_NAME, webhookHost } from '../../../src/names.js';
import { addMs, DAY_MS, formatTime, SECOND_MS } from '../../../src/time.js';
import { NAMESPACE } from '../cluster-objects.js';
import { listUnsoundPairs } from '../odd-certificates.js';
import {
  allSame,
  createSimulatedCluster,
  endOf,
  fastCertificates,
  HOUR_MS,
  MINUTE_MS,
  OVERLAP_MS,
  PASS_EVERY_MS,
  type SimulatedCluster,
  START,
  startSimulatedCluster,
} from '../simulated-cluster.js';

const LAGS_MS = [0, 3 * SECOND_MS, 60 * SECOND_MS, OVERLAP_MS];
/** Sequences of events that the last property tries; a soak sets more. */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 15);

void t.test('any number of replicas start at once and agree', async (t) => {
  const cluster = createSimulatedCluster();
  for (let index = 0; index < 5; index += 1) cluster.start();
  await Promise.all(cluster.replicas.map(({ reconciler }) => reconciler.reconcile()));
  const created = cluster.objects.writes.filter((write) => write.startsWith('patch secret'));
  t.strictSame(created.sort(), ['patch secret 201', ...Array<string>(4).fill('patch secret 409')]);
  await cluster.run(10 * SECOND_MS, [0, 1 * SECOND_MS]);
  t.ok(allSame(cluster.served()));
  t.ok(cluster.replicas.every(({ reconciler }) => reconciler.isReady()));
  t.equal(cluster.bundle().length, 1);
  const writes = cluster.objects.writes.length;
  await cluster.run(MINUTE_MS, [0, SECOND_MS]);
  t.equal(cluster.objects.writes.length, writes, 'nothing more is written');
  t.strictSame(cluster.violations, []);
  const certificate = new X509Certificate(cluster.served()[0] ?? '');
  t.equal(certificate.checkHost(`${WEBHOOK_NAME}.${NAMESPACE}.svc`), `${WEBHOOK_NAME}.${NAMESPACE}.svc`);
  t.equal(endOf({ certificatePem: certificate.toString() }) - START, 90 * DAY_MS);
});

void t.test('a replica is not ready before the caBundle was read back', async (t) => {
  const cluster = createSimulatedCluster();
  const { reconciler } = cluster.start();
  cluster.objects.forbidden.add('patch configuration');
  await cluster.run(5 * MINUTE_MS);
  t.notOk(reconciler.isReady());
  t.match(cluster.log.join(''), /may not patch the MutatingWebhookConfiguration .* helm upgrade/);
  cluster.objects.forbidden.clear();
  await cluster.run(PASS_EVERY_MS + 3 * SECOND_MS);
  t.ok(reconciler.isReady());
  cluster.objects.isAway = true;
  await cluster.run(HOUR_MS);
  t.ok(reconciler.isReady(), 'once ready, a slow API server does not undo it');
});

void t.test('a replica that starts later adopts what there is', async (t) => {
  const cluster = await startSimulatedCluster(2);
  const before = fastCertificates.count();
  cluster.start();
  await cluster.run(10 * SECOND_MS, [0, OVERLAP_MS]);
  t.ok(allSame(cluster.served()));
  cluster.replicas.splice(0, 2);
  const restarted = cluster.start();
  await cluster.run(10 * SECOND_MS, [0, OVERLAP_MS]);
  t.ok(restarted.reconciler.isReady());
  t.equal(fastCertificates.count(), before, 'no keys are made');
  t.strictSame(cluster.violations, []);
});

for (const kind of ['leaf', 'ca'] as const) {
  void t.test(`rotation by annotation: ${kind}`, async (t) => {
    const cluster = await startSimulatedCluster(3);
    await cluster.run(OVERLAP_MS, [0, OVERLAP_MS]);
    const [before] = cluster.served();
    const [oldAuthority] = cluster.bundle();
    const tookMs = await rotate(cluster, kind);
    if (kind === 'ca') {
      t.ok(tookMs >= OVERLAP_MS && tookMs < OVERLAP_MS + 20 * SECOND_MS, `after the overlap: ${String(tookMs)} ms`);
    } else t.ok(tookMs < 10 * SECOND_MS, `at once, the authority is known: ${String(tookMs)} ms`);
    const [starter] = cluster.replicas.filter(({ events }) => events.includes(`rotated ${kind}`));
    const stored = Buffer.from(cluster.objects.secret?.data['tls.crt'] ?? '', 'base64').toString();
    t.equal(starter?.reconciler.current()?.certificatePem, stored, 'served and stored when the annotation goes');
    t.not(stored, before);
    await cluster.run(PASS_EVERY_MS, [0, OVERLAP_MS]);
    t.ok(allSame(cluster.served()), 'the others follow at their next pass');
    const events = cluster.replicas.flatMap((replica) => replica.events);
    t.equal(events.filter((event) => event.startsWith('rotated')).length, 1);
    t.equal(cluster.bundle().length, kind === 'ca' ? 2 : 1);
    t.ok(cluster.bundle().includes(oldAuthority ?? ''), 'the old authority stays');
    for (const { name } of cluster.replicas) {
      const begun = cluster.log.filter(
        (line) => line.startsWith(`${name} `) && line.includes('a rotation begins, as the annotation asks'),
      );
      t.equal(begun.length, 1, 'each replica says once that it begins');
      t.match(
        begun[0],
        `"rotation":"${kind}","waitsFor":"the authority of the new certificate has been in the caBundle`,
      );
    }
    cluster.jump(91 * DAY_MS);
    await cluster.run(3 * MINUTE_MS, [0, OVERLAP_MS]);
    t.equal(cluster.bundle().includes(oldAuthority ?? ''), kind === 'leaf', 'until the old certificate has expired');
    t.strictSame(
      cluster.violations.filter((violation) => !violation.includes('serves an expired certificate')),
      [],
    );
  });
}

/** @returns how long it took until the annotation was removed. */
async function rotate(cluster: SimulatedCluster, kind: 'leaf' | 'ca'): Promise<number> {
  cluster.objects.rotate(kind);
  const started = cluster.now;
  while (cluster.annotation !== undefined && cluster.now - started < HOUR_MS)
    await cluster.run(SECOND_MS, [0, 30 * SECOND_MS, OVERLAP_MS]);
  return cluster.now - started;
}

void t.test('a rotation is finished by others when the replica that began it is gone', async (t) => {
  const cluster = await startSimulatedCluster(3);
  cluster.objects.rotate('ca');
  await cluster.run(10 * SECOND_MS, [0, OVERLAP_MS]);
  const line = cluster.log.find((text) => text.includes('a new certificate was issued')) ?? '';
  const starter = cluster.replicas.find(({ name }) => line.startsWith(`${name} `));
  if (starter === undefined) throw new Error('no replica began');
  cluster.stop(starter);
  await cluster.run(10 * MINUTE_MS, [0, OVERLAP_MS]);
  t.equal(cluster.annotation, undefined);
  t.ok(allSame(cluster.served()));
  t.equal(cluster.bundle().length, 2);
  t.strictSame(cluster.violations, []);
});

void t.test('an annotation with an unknown or empty value is reported once, and stays', async (t) => {
  for (const value of ['now', '']) {
    const cluster = await startSimulatedCluster(1);
    cluster.objects.rotate(value);
    await cluster.run(MINUTE_MS);
    t.equal(cluster.annotation, value);
    const logged = cluster.log.filter((line) => line.includes(`is \\"${value}\\"; set it to leaf or ca`));
    t.equal(logged.length, 1, `"${value}" once`);
  }
});

void t.test('ten years, a pass every few days', async (t) => {
  const cluster = await startSimulatedCluster(2);
  for (let day = 0; day < 3650; day += 6) {
    cluster.jump(6 * DAY_MS);
    await cluster.run(PASS_EVERY_MS, [0, OVERLAP_MS]);
    if (cluster.objects.secret?.data['next.crt'] !== undefined)
      await cluster.run(OVERLAP_MS + PASS_EVERY_MS, [0, OVERLAP_MS]);
  }
  t.strictSame(cluster.violations, []);
  const rotated = cluster.replicas.flatMap(({ events }) => events).filter((event) => event.startsWith('rotated'));
  t.ok(rotated.length >= 55 && rotated.length <= 70, `every 60 days: ${String(rotated.length)}`);
  const authorities = rotated.filter((event) => event === 'rotated ca').length;
  t.ok(authorities >= 2 && authorities <= 3, `an authority lives five years: ${String(authorities)}`);
  t.ok(cluster.bundle().length <= 2);
});

void t.test('the shortest lifetimes', async (t) => {
  const cluster = await startSimulatedCluster(2, { caDays: 1, leafDays: 1, overlapSeconds: 120 });
  for (let hour = 0; hour < 24 * 5; hour += 1) {
    cluster.jump(HOUR_MS);
    await cluster.run(PASS_EVERY_MS, [0, OVERLAP_MS]);
    if (cluster.objects.secret?.data['next.crt'] !== undefined)
      await cluster.run(OVERLAP_MS + PASS_EVERY_MS, [0, OVERLAP_MS]);
  }
  t.strictSame(cluster.violations, []);
  t.ok(cluster.bundle().length <= 3, String(cluster.bundle().length));
});

type EventName =
  | 'leaf'
  | 'ca'
  | 'delete'
  | 'empty'
  | 'half'
  | 'nonsense'
  | 'junk'
  | 'unsound'
  | 'forged'
  | 'older'
  | 'restart'
  | 'cut'
  | 'heal';

interface Scene {
  readonly cluster: SimulatedCluster;
  /** Data of the Secret from earlier. */
  readonly backups: string[];
}

/** Two with a sound authority, two with another. */
const UNSOUND = Object.values(listUnsoundPairs(webhookHost(NAMESPACE), START)).filter((_, index) => index % 5 === 0);
const encode = (text: string): string => Buffer.from(text).toString('base64');

/** Events that need a Secret; `which` selects a backup or a replica. */
const SECRET_EVENTS: Partial<Record<EventName, (scene: Scene, which: number) => void>> = {
  leaf: ({ cluster }) => cluster.objects.rotate('leaf'),
  ca: ({ cluster }) => cluster.objects.rotate('ca'),
  delete: ({ cluster }) => (cluster.objects.secret = undefined),
  empty: ({ cluster }) => cluster.objects.damage((data) => Object.keys(data).forEach((key) => (data[key] = ''))),
  half: ({ cluster }) => cluster.objects.damage((data) => delete data['ca.key']),
  nonsense: ({ cluster }) => cluster.objects.damage((data) => (data['tls.crt'] = encode('nonsense'))),
  junk: ({ cluster }) => cluster.objects.damage((data) => (data['retiring.json'] = encode('{}'))),
  /** It looks sound. */
  unsound: ({ cluster }, which) => {
    const { authority, leaf } = UNSOUND[which % UNSOUND.length] ?? {};
    cluster.objects.damage((data) => {
      data['ca.crt'] = encode(authority?.certificatePem ?? '');
      data['ca.key'] = encode(authority?.keyPem ?? '');
      data['tls.crt'] = encode(leaf?.certificatePem ?? '');
      data['tls.key'] = encode(leaf?.keyPem ?? '');
    });
  },
  /** Its authorities stay for a hundred years. */
  forged: ({ cluster }) =>
    cluster.objects.damage((data) => {
      const until = formatTime(addMs(START, 36_500 * DAY_MS));
      const forged = UNSOUND.slice(0, 1).map(({ authority }) => ({ until, certificate: authority.certificatePem }));
      data['retiring.json'] = encode(JSON.stringify(forged));
    }),
  /** The Secret is restored from a backup, or backed up. */
  older: ({ cluster: { objects }, backups }, which) => {
    const backup = backups[which];
    if (backup === undefined) {
      backups.push(JSON.stringify(objects.secret?.data));
      return;
    }
    objects.damage((data) => {
      for (const key of Object.keys(data)) Reflect.deleteProperty(data, key);
      Object.assign(data, JSON.parse(backup));
    });
  },
};

const REPLICA_EVENTS: Partial<Record<EventName, (scene: Scene, which: number) => Promise<void> | void>> = {
  /** Not the last replica that remembers, and only while the Secret is whole: another test does that. */
  restart: async ({ cluster }, which) => {
    const replica = cluster.replicas[which];
    await cluster.run(2 * PASS_EVERY_MS, LAGS_MS);
    const isPossible = cluster.replicas.length > 1 && cluster.replicas.every(({ isCutOff }) => !isCutOff);
    if (replica === undefined || !isPossible) return;
    cluster.stop(replica);
    cluster.start();
    await cluster.run(2 * PASS_EVERY_MS, LAGS_MS);
  },
  cut: ({ cluster }, which) => {
    const replica = cluster.replicas[which];
    if (replica !== undefined) replica.isCutOff = which > 0;
  },
  heal: ({ cluster }, which) => {
    const replica = cluster.replicas[which];
    if (replica !== undefined) replica.isCutOff = false;
  },
};

/** Machines that slept: all at once, so that nothing expires while no replica runs. */
async function jump({ cluster }: Scene, hours: number): Promise<void> {
  cluster.jump(Math.min(hours * HOUR_MS, 29 * DAY_MS));
  for (const replica of cluster.replicas) replica.isCutOff = false;
  await cluster.run(5 * MINUTE_MS, []);
}

const arbitraryEvent = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 150 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('jump' as const), hours: fc.integer({ min: 1, max: 24 * 40 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom<EventName[]>(
        'leaf',
        'ca',
        'delete',
        'empty',
        'half',
        'nonsense',
        'restart',
        'cut',
        'heal',
        'older',
        'junk',
        'unsound',
        'forged',
      ),
      which: fc.nat({ max: 2 }),
    }),
  },
);

void t.test('after any events, every API server can verify what is served', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryEvent, { minLength: 1, maxLength: 15 }), async (events) => {
      const cluster = await startSimulatedCluster(3);
      const scene: Scene = { cluster, backups: [] };
      for (const event of events) {
        if (event.do === 'wait') await cluster.run(event.seconds * SECOND_MS, LAGS_MS);
        else if (event.do === 'jump') await jump(scene, event.hours);
        else {
          if (cluster.objects.secret !== undefined) SECRET_EVENTS[event.do]?.(scene, event.which);
          await REPLICA_EVENTS[event.do]?.(scene, event.which);
        }
      }
      for (const replica of cluster.replicas) replica.isCutOff = false;
      await cluster.run(6 * MINUTE_MS, LAGS_MS);
      if (cluster.violations.length > 0) throw new Error(cluster.violations[0]);
      if (!allSame(cluster.served())) throw new Error('the replicas do not agree in the end');
      if (cluster.annotation !== undefined) throw new Error('the annotation stays');
      const writes = cluster.objects.writes.length;
      await cluster.run(5 * MINUTE_MS, LAGS_MS);
      if (cluster.objects.writes.length > writes) throw new Error('writes do not stop');
    }),
    { numRuns: RUNS },
  );
});

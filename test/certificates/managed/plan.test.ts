/** When certificates change, and that no API server ever meets one that it can't verify. */
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { WEBHOOK_NAME } from '../../../src/names.js';
import { NAMESPACE } from '../cluster-objects.js';
import {
  allSame,
  DAY,
  endOf,
  HOUR,
  LOOK,
  maker,
  MINUTE,
  OVERLAP,
  SECOND,
  START,
  startWorld,
  World,
} from '../simulated-cluster.js';

void t.test('any number of replicas start at once and agree', async (t) => {
  const world = new World();
  for (let index = 0; index < 5; index += 1) world.start();
  await Promise.all(world.replicas.map(({ looks }) => looks.reconcile()));
  const created = world.objects.writes.filter((write) => write.startsWith('patch secret'));
  t.strictSame(created.sort(), ['patch secret 201', ...Array<string>(4).fill('patch secret 409')]);
  await world.run(10 * SECOND, [0, 1 * SECOND]);
  t.ok(allSame(world.served()));
  t.ok(world.replicas.every(({ looks }) => looks.isReady()));
  t.equal(world.bundle().length, 1);
  const writes = world.objects.writes.length;
  await world.run(MINUTE, [0, SECOND]);
  t.equal(world.objects.writes.length, writes, 'nothing more is written');
  t.strictSame(world.violations, []);
  const certificate = new X509Certificate(world.served()[0] ?? '');
  t.equal(certificate.checkHost(`${WEBHOOK_NAME}.${NAMESPACE}.svc`), `${WEBHOOK_NAME}.${NAMESPACE}.svc`);
  t.equal(endOf({ certificatePem: certificate.toString() }) - START, 90 * DAY);
});

void t.test('not ready before the caBundle was read back', async (t) => {
  const world = new World();
  const { looks } = world.start();
  world.objects.forbidden.add('patch configuration');
  await world.run(5 * MINUTE);
  t.notOk(looks.isReady());
  t.match(world.log.join(''), /may not patch the MutatingWebhookConfiguration .* helm upgrade/);
  world.objects.forbidden.clear();
  await world.run(LOOK + 3 * SECOND);
  t.ok(looks.isReady());
  world.objects.isAway = true;
  await world.run(HOUR);
  t.ok(looks.isReady(), 'once ready, a slow API server does not undo it');
});

void t.test('a replica that comes later adopts what there is', async (t) => {
  const world = await startWorld(2);
  const before = maker.count();
  world.start();
  await world.run(10 * SECOND, [0, OVERLAP]);
  t.ok(allSame(world.served()));
  world.replicas.splice(0, 2);
  const restarted = world.start();
  await world.run(10 * SECOND, [0, OVERLAP]);
  t.ok(restarted.looks.isReady());
  t.equal(maker.count(), before, 'no keys are made');
  t.strictSame(world.violations, []);
});

void t.test('rotation by annotation', async (t) => {
  for (const kind of ['leaf', 'ca'] as const) {
    const world = await startWorld(3);
    await world.run(OVERLAP, [0, OVERLAP]);
    const [before] = world.served();
    const [oldAuthority] = world.bundle();
    world.objects.rotate(kind);
    const started = world.now;
    while (world.annotation !== undefined && world.now - started < HOUR)
      await world.run(SECOND, [0, 30 * SECOND, OVERLAP]);
    const took = world.now - started;
    if (kind === 'ca') t.ok(took >= OVERLAP && took < OVERLAP + 20 * SECOND, `after the overlap: ${String(took)} ms`);
    else t.ok(took < 10 * SECOND, `at once, the authority is known: ${String(took)} ms`);
    const [starter] = world.replicas.filter(({ events }) => events.includes(`rotated ${kind}`));
    const stored = Buffer.from(world.objects.secret?.data['tls.crt'] ?? '', 'base64').toString();
    t.equal(starter?.looks.current()?.certificatePem, stored, 'served, and in the Secret, when the annotation goes');
    t.not(stored, before);
    await world.run(LOOK, [0, OVERLAP]);
    t.ok(allSame(world.served()), 'the others follow at their next look');
    t.equal(world.replicas.flatMap(({ events }) => events).filter((event) => event.startsWith('rotated')).length, 1);
    t.equal(world.bundle().length, kind === 'ca' ? 2 : 1);
    t.ok(world.bundle().includes(oldAuthority ?? ''), 'the old authority stays');
    world.jump(91 * DAY);
    await world.run(3 * MINUTE, [0, OVERLAP]);
    t.equal(world.bundle().includes(oldAuthority ?? ''), kind === 'leaf', 'until the old certificate has ended');
    t.strictSame(
      world.violations.filter((violation) => !violation.includes('has ended')),
      [],
    );
  }
});

void t.test('a rotation is finished by others when who began it is gone', async (t) => {
  const world = await startWorld(3);
  world.objects.rotate('ca');
  await world.run(10 * SECOND, [0, OVERLAP]);
  const line = world.log.find((text) => text.includes('a new certificate was issued')) ?? '';
  const began = world.replicas.find(({ name }) => line.startsWith(`${name} `));
  if (began === undefined) throw new Error('nobody began');
  world.stop(began);
  await world.run(10 * MINUTE, [0, OVERLAP]);
  t.equal(world.annotation, undefined);
  t.ok(allSame(world.served()));
  t.equal(world.bundle().length, 2);
  t.strictSame(world.violations, []);
});

void t.test('an annotation that says something else is named, and left alone', async (t) => {
  const world = await startWorld(1);
  world.objects.rotate('now');
  await world.run(MINUTE);
  t.equal(world.annotation, 'now');
  const said = world.log.filter((line) => line.includes('it takes leaf or ca'));
  t.equal(said.length, 1, 'once');
});

void t.test('ten years, a look every few hours', async (t) => {
  const world = await startWorld(2);
  for (let day = 0; day < 3650; day += 6) {
    world.jump(6 * DAY);
    await world.run(LOOK, [0, OVERLAP]);
    if (world.objects.secret?.data['next.crt'] !== undefined) await world.run(OVERLAP + LOOK, [0, OVERLAP]);
  }
  t.strictSame(world.violations, []);
  const rotated = world.replicas.flatMap(({ events }) => events).filter((event) => event.startsWith('rotated'));
  t.ok(rotated.length >= 55 && rotated.length <= 70, `every 60 days: ${String(rotated.length)}`);
  const authorities = rotated.filter((event) => event === 'rotated ca').length;
  t.ok(authorities >= 2 && authorities <= 3, `an authority lives five years: ${String(authorities)}`);
  t.ok(world.bundle().length <= 2);
});

void t.test('the shortest lives', async (t) => {
  const world = await startWorld(2, { caDays: 1, leafDays: 1, overlapSeconds: 120 });
  for (let hour = 0; hour < 24 * 5; hour += 1) {
    world.jump(HOUR);
    await world.run(LOOK, [0, OVERLAP]);
    if (world.objects.secret?.data['next.crt'] !== undefined) await world.run(OVERLAP + LOOK, [0, OVERLAP]);
  }
  t.strictSame(world.violations, []);
  t.ok(world.bundle().length <= 3, String(world.bundle().length));
});

void t.test('whatever happens, every API server can verify what is served', async () => {
  const happenings = fc.oneof(
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
        do: fc.constantFrom(
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
          'junk' as const,
        ),
        which: fc.nat({ max: 2 }),
      }),
    },
  );
  type Happening = typeof happenings extends fc.Arbitrary<infer T> ? T : never;

  const happen = async (
    world: World,
    happening: Happening,
    backups: string[],
    lags: readonly number[],
  ): Promise<void> => {
    const { objects } = world;
    const { secret } = objects;
    switch (happening.do) {
      case 'wait':
        return world.run(happening.seconds * SECOND, lags);
      case 'jump':
        // Machines that slept: all at once, so that nothing ends while nobody looks.
        world.jump(Math.min(happening.hours * HOUR, 29 * DAY));
        for (const replica of world.replicas) replica.isCutOff = false;
        return world.run(5 * MINUTE, []);
      case 'leaf':
      case 'ca':
        if (secret !== undefined) objects.rotate(happening.do);
        return;
      case 'delete':
        objects.secret = undefined;
        return;
      case 'empty':
        if (secret !== undefined) objects.damage((data) => Object.keys(data).forEach((key) => (data[key] = '')));
        return;
      case 'half':
        if (secret !== undefined) objects.damage((data) => delete data['ca.key']);
        return;
      case 'nonsense':
        if (secret !== undefined)
          objects.damage((data) => (data['tls.crt'] = Buffer.from('nonsense').toString('base64')));
        return;
      case 'junk':
        if (secret !== undefined)
          objects.damage((data) => (data['retiring.json'] = Buffer.from('{}').toString('base64')));
        return;
      case 'older': {
        // Someone restores a backup.
        const backup = backups[happening.which];
        if (secret !== undefined && backup !== undefined) {
          objects.damage((data) => {
            for (const key of Object.keys(data)) Reflect.deleteProperty(data, key);
            Object.assign(data, JSON.parse(backup));
          });
        } else if (secret !== undefined) backups.push(JSON.stringify(secret.data));
        return;
      }
      case 'restart': {
        // Not the last that remembers, and only while the Secret is whole: that is the test after this one.
        const replica = world.replicas[happening.which];
        await world.run(2 * LOOK, lags);
        if (replica === undefined || world.replicas.length < 2 || world.replicas.some(({ isCutOff }) => isCutOff))
          return;
        world.stop(replica);
        world.start();
        return world.run(2 * LOOK, lags);
      }
      case 'cut':
      case 'heal': {
        const replica = world.replicas[happening.which];
        if (replica !== undefined) replica.isCutOff = happening.do === 'cut' && happening.which > 0;
      }
    }
  };

  await fc.assert(
    fc.asyncProperty(fc.array(happenings, { minLength: 1, maxLength: 15 }), async (list) => {
      const world = await startWorld(3);
      const backups: string[] = [];
      const lags = [0, 3 * SECOND, 60 * SECOND, OVERLAP];
      for (const happening of list) await happen(world, happening, backups, lags);
      for (const replica of world.replicas) replica.isCutOff = false;
      await world.run(6 * MINUTE, lags);
      if (world.violations.length > 0) throw new Error(world.violations[0]);
      if (!allSame(world.served())) throw new Error('the replicas do not agree in the end');
      if (world.annotation !== undefined) throw new Error('the annotation stays');
      const writes = world.objects.writes.length;
      await world.run(5 * MINUTE, lags);
      if (world.objects.writes.length > writes) throw new Error('it does not come to rest');
    }),
    { numRuns: 15 },
  );
});

/** When Entra is asked: renewals and pauses. */
import fc from 'fast-check';
import t from 'tap';
import { judgeRepetition } from '../../src/entra/answer.js';
import { type Failure, type FailureClass, mayResolveByWaiting } from '../../src/entra/failure.js';
import { choosePauseSeconds, chooseRenewalSeconds } from '../../src/entra/schedule.js';
import { fail, refusal } from '../support/entra-fixture.js';

void t.test('renewal', (t) => {
  const cases: [life: number, refreshIn: number | undefined, after: number][] = [
    [86400, undefined, 69120],
    [3600, undefined, 2880],
    [1200, undefined, 900],
    [900, undefined, 600],
    [600, undefined, 300],
    [90, undefined, 45],
    [2, undefined, 1],
    [86400, 43200, 43200],
    [86400, 60, 8640],
    [3600, 1, 360],
    [200, 5, 30],
    [40, 5, 20],
    [3600, 3599, 2880],
  ];
  for (const [life, refreshIn, after] of cases) {
    t.equal(chooseRenewalSeconds(life, refreshIn, 0), after, `life ${life}, refresh_in ${String(refreshIn)}`);
    t.ok(Math.abs(chooseRenewalSeconds(life, refreshIn, 1) - after - life * 0.05) < 1e-6, 'with all of the jitter');
  }
  const random = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200_000 }),
      fc.option(fc.integer({ min: 1, max: 300_000 }), { nil: undefined }),
      random,
      (life, refreshIn, chance) => {
        const after = chooseRenewalSeconds(life, refreshIn, chance);
        return after <= life * 0.85 + 1e-6 && after >= Math.min(life / 2, Math.max(life * 0.1, 30)) - 1e-6;
      },
    ),
  );
  t.end();
});

const CLASSES: FailureClass[] = [
  'propagation',
  'config',
  'retry-slowly',
  're-read-once',
  'never-hammer',
  'throttle',
  'transient',
  'our-defect',
  'loop',
  'assertion',
  'transport',
  'tls-untrusted',
  'proxy-refused',
  'bad-answer',
];

void t.test('pauses', (t) => {
  const pause = (
    part: Partial<Failure>,
    earlierFailures = 0,
    remaining?: number,
    [without = 0, sameClass = 0]: readonly number[] = [],
  ): number =>
    choosePauseSeconds(
      { class: 'transient', code: 'c', message: 'm', ...part },
      { earlierFailures, remainingSeconds: remaining, withoutTokenSeconds: without, sameClassSeconds: sameClass },
    );
  const series = (part: Partial<Failure>, remaining?: number, without = 0): number[] =>
    [0, 1, 2, 3, 4, 5, 6].map((earlier) => pause(part, earlier, remaining, [without]));
  for (const kind of ['transient', 'propagation', 'throttle', 'assertion', 'transport', 'bad-answer'] as const) {
    t.strictSame(series({ class: kind }), [1, 2, 4, 5, 5, 5, 5], `${kind} without a token`);
    t.strictSame(series({ class: kind }, undefined, 120), [1, 2, 4, 8, 16, 30, 30], `${kind} after two minutes`);
    t.strictSame(series({ class: kind }, 3600), [1, 2, 4, 8, 16, 30, 30], `${kind} with a token`);
    t.strictSame(series({ class: kind }, 60), [1, 2, 4, 6, 6, 6, 6], `${kind} with a token that ends in a minute`);
    t.strictSame(series({ class: kind }, 5), [1, 1, 1, 1, 1, 1, 1], `${kind} with a token about to end`);
  }
  t.strictSame(series({ class: 'config', quick: true }), [1, 2, 4, 5, 5, 5, 5], '700213 is quick');
  t.strictSame(series({ class: 'config' }), Array(7).fill(60));
  for (const kind of ['retry-slowly', 'never-hammer', 'our-defect'] as const)
    t.strictSame(series({ class: kind }, 99), Array(7).fill(300));
  const issuer = { class: 'retry-slowly', quick: true } as const;
  t.strictSame(series(issuer), [1, 2, 4, 5, 5, 5, 5], '90061 is quick at first');
  t.strictSame(series(issuer, 3600), [1, 2, 4, 8, 16, 30, 30], 'also with a token');
  t.equal(
    pause(issuer, 30, undefined, [500, 119]),
    30,
    'within two minutes of its first answer, however long the outage',
  );
  t.equal(pause(issuer, 30, undefined, [120, 120]), 300, 'then it is slow');
  t.equal(pause(issuer, 30, 3600, [0, 120]), 300, 'also with a token');
  t.equal(pause({ class: 'config', quick: true }, 30, undefined, [500, 500]), 30, '700213 stays quick');
  t.strictSame(series({ class: 'loop' }), [60, 120, 240, 300, 300, 300, 300]);
  t.equal(pause({ class: 're-read-once' }), 0);
  t.equal(pause({ retryAfterSeconds: 20 }), 5, 'Retry-After on 5xx stays within the limit');
  t.equal(pause({ retryAfterSeconds: 20 }, 0, 3600), 20, 'but is considered');
  t.equal(pause({ retryAfterSeconds: 200 }, 0, 3600), 30);
  t.equal(pause({ class: 'throttle', retryAfterSeconds: 200, throttled: true }, 0, 10), 200, 'on 429 it is obeyed');
  t.equal(pause({ class: 'throttle', retryAfterSeconds: 0, throttled: true }, 2), 4);
  t.equal(pause({ class: 'config', retryAfterSeconds: 90, throttled: true }), 90);

  const once = fail(refusal(700024));
  t.equal(judgeRepetition(once, undefined).class, 're-read-once');
  t.equal(judgeRepetition(once, fail('', 503)).class, 're-read-once');
  const again = judgeRepetition(once, fail(refusal(50013)));
  t.equal(pause(again), 60, 'refused again, it is a matter of configuration');
  t.notOk(mayResolveByWaiting(again));
  t.equal(judgeRepetition(once, again).class, 'config');

  const failures = fc.record({
    class: fc.constantFrom(...CLASSES),
    retryAfterSeconds: fc.option(fc.nat(1e9), { nil: undefined }),
  });
  const circumstances = fc.record({
    earlierFailures: fc.nat(2000),
    remainingSeconds: fc.option(fc.double({ min: 0, max: 1e5, noNaN: true }), { nil: undefined }),
    withoutTokenSeconds: fc.nat(1e6),
    sameClassSeconds: fc.nat(1e6),
  });
  fc.assert(
    fc.property(failures, circumstances, (failure, when) => {
      const seconds = choosePauseSeconds({ code: 'c', message: 'm', ...failure }, when);
      return failure.class === 're-read-once' ? seconds === 0 : seconds >= 1 && seconds <= 300;
    }),
  );
  t.end();
});

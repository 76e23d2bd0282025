/** Budgets over time, with a clock of the test's. */
import t from 'tap';
import { milliseconds } from '../../src/time.js';
import { createBudget } from '../../src/webhook/budget.js';

/** How many of so many are granted. */
function count(times: number, take: () => boolean): number {
  return Array.from({ length: times }, take).filter(Boolean).length;
}

void t.test('so many at once, and so many a second, for each key and in total', (t) => {
  let now = 1000;
  const allowances = { total: { burst: 10, perSecond: 2 }, each: { burst: 4, perSecond: 1 } };
  const budget = createBudget({ ...allowances, clock: () => milliseconds(now) });
  t.equal(
    count(9, () => budget.take('a')),
    4,
    'of one key',
  );
  t.equal(
    count(9, () => budget.take('b')),
    4,
    'another has its own',
  );
  t.equal(
    count(9, () => budget.take('c')),
    2,
    'until the total is used up',
  );
  now += 900;
  t.equal(
    count(9, () => budget.take('d')),
    1,
    'the total fills',
  );
  t.equal(
    count(9, () => budget.take('a')),
    0,
    'a key fills too, and is not there yet',
  );
  now += 3_600_000;
  t.equal(
    count(9, () => budget.take('a')),
    4,
    'never over its burst',
  );
  t.equal(
    count(99, () => budget.take(String(Math.random()))),
    6,
    'nor does the total',
  );
  t.end();
});

void t.test('the least recently used key is forgotten', (t) => {
  const allowances = { total: { burst: 100, perSecond: 0 }, each: { burst: 1, perSecond: 0 } };
  const budget = createBudget({ ...allowances, clock: () => milliseconds(0), maxKeys: 2 });
  t.ok(budget.take('a'));
  t.ok(budget.take('b'));
  t.notOk(budget.take('a'), 'it is remembered');
  t.ok(budget.take('c'), 'one more than are kept');
  t.notOk(budget.take('a'), 'what was used last stays');
  t.ok(budget.take('b'), 'the other one starts anew');
  t.end();
});

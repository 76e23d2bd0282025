/** A wait that fails says what it waited for. */
import t from 'tap';
import { waitUntil, withDeadline } from './wait.js';

const SOON = { withinSeconds: 0.05 };
const never = new Promise<never>(() => undefined);

void t.test('waitUntil resolves with the first result, after attempts that fail', async (t) => {
  let attempts = 0;
  const result = await waitUntil('the third attempt', () => {
    attempts += 1;
    if (attempts === 1) throw new Error('not yet');
    return attempts === 3 && 'done';
  });
  t.equal(result, 'done');
});

void t.test('waitUntil rejects with the name, the cause and what it found', async (t) => {
  const attempt = (): never => {
    throw new Error('connection refused');
  };
  await t.rejects(waitUntil('a token', attempt, { ...SOON, describe: () => ({ status: 503 }) }), {
    message: 'not within 0.05 s: a token; found {"status":503}',
    cause: { message: 'connection refused' },
  });
});

void t.test('a promise that never settles is given up', async (t) => {
  await t.rejects(
    waitUntil('an answer', () => never, SOON),
    /not within 0.05 s: an answer/,
  );
  await t.rejects(withDeadline('the end', never, SOON), /not within 0.05 s: the end/);
});

/** Who is worked on next, and who has to leave, with a clock that only the work moves. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import t from 'tap';
import { milliseconds } from '../../src/time.js';
import { createTurns, type Limits } from '../../src/webhook/turns.js';
import { waitUntil } from '../support/wait.js';

const MIB = 1024 * 1024;

function createFixture(limits: Partial<Limits> = {}) {
  let nowMs = 0;
  const order: string[] = [];
  const turns = createTurns(() => milliseconds(nowMs), { waitMs: 600_000, ...limits });
  const releases = new Map<string, () => void>();
  return {
    turns,
    order,
    /** Takes so long, all of it before it returns. */
    work: (address: string, tookMs: number, bytes = 100) =>
      turns.run({ address, bytes }, async () => {
        order.push(address);
        nowMs += tookMs;
        return Promise.resolve({ address });
      }),
    /** Does not end until it is released. */
    hold: (address: string, name: string, bytes = 100) =>
      turns.run({ address, bytes }, () => {
        order.push(name);
        return new Promise<object>((resolve) => releases.set(name, () => resolve({ name })));
      }),
    release: (name: string) => releases.get(name)?.(),
  };
}

void t.test('an address waits for one expensive request of another, however many there are', async (t) => {
  const { work, order } = createFixture();
  const expensive = Array.from({ length: 50 }, () => work('stranger', 250));
  const cheap = Array.from({ length: 50 }, () => work('api-server', 1));
  await Promise.all([...expensive, ...cheap]);
  // The first began before anybody else asked.
  t.strictSame(order.slice(0, 51), ['stranger', ...cheap.map(() => 'api-server')]);
  t.equal(order.length, 100, 'and all are done');
});

void t.test('who was silent has saved no time up', async (t) => {
  const { work, order } = createFixture();
  await Promise.all([work('api-server', 1000)]);
  const [first, ...others] = [work('api-server', 10), work('late', 10), work('api-server', 10), work('late', 10)];
  await Promise.all([first, ...others]);
  t.strictSame(order.slice(1), ['api-server', 'late', 'api-server', 'late'], 'they take turns');
});

void t.test('input and output come between expensive requests', async (t) => {
  const { work, order } = createFixture();
  const all = Promise.all(Array.from({ length: 3 }, () => work('stranger', 250)));
  const steps: number[] = [];
  for (let before = 0; before < 3;) {
    steps.push(order.length - before);
    before = order.length;
    await new Promise(setImmediate);
  }
  await all;
  t.strictSame(
    steps.filter((done) => done > 0),
    [1, 1, 1],
    'one in each turn of the event loop',
  );
});

void t.test('connections are accepted between expensive requests, many in a row', async (t) => {
  const { turns, work, order } = createFixture();
  let accepted = 0;
  const server = createServer(() => {
    turns.noteConnection();
    accepted += 1;
  }).listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: 100 }, () => connect(port, '127.0.0.1'));
  while (accepted < sockets.length) await Promise.all([work('stranger', 250), work('stranger', 250)]);
  // One before each would make it a hundred.
  t.ok(order.length < 20, `${order.length} requests`);
  for (const socket of sockets) socket.destroy();
  server.close();
});

void t.test('while connections keep coming, requests get half of the time', async (t) => {
  let nowMs = 0;
  const turns = createTurns(() => milliseconds(nowMs));
  const order: string[] = [];
  const arrive = (): void => {
    turns.noteConnection();
    order.push('connection');
    nowMs += 1;
    if (order.length < 1000) setImmediate(arrive);
  };
  arrive();
  const work = () =>
    turns.run({ address: 'api-server', bytes: 1 }, async () => {
      order.push('request');
      nowMs += 10;
      return Promise.resolve({});
    });
  await Promise.all(Array.from({ length: 10 }, work));
  t.ok(
    order.length < 10 + 10 * 20,
    `${order.length - 10} connections between 10 requests that take as long as 10 each`,
  );
  order.length = 1000;
});

void t.test('the last part of the work has a turn of its own', async (t) => {
  const { turns, work, order } = createFixture();
  const busy = work('stranger', 250);
  const parts = turns.run({ address: 'api-server', bytes: 1 }, async (next) => {
    order.push('begin');
    return await next(() => {
      order.push('end');
      return {};
    });
  });
  await Promise.all([busy, parts, work('stranger', 250), work('stranger', 250)]);
  t.strictSame(order, ['stranger', 'begin', 'end', 'stranger', 'stranger']);
  const failing = turns.run({ address: 'a', bytes: 1 }, (next) =>
    next(() => {
      throw new Error('a defect');
    }),
  );
  await t.rejects(failing, { message: 'a defect' });
  t.equal(turns.count, 0, 'its place is free');
});

void t.test('above the limit, whoever has most gives up the last that waits', async (t) => {
  const { turns, work, hold, release } = createFixture({ admissions: 4, largeBodies: 1 });
  const large = ['1', '2', '3', '4'].map((name) => hold('stranger', name, MIB));
  t.equal(await work('stranger', 1), 'admissions', 'not for itself');
  t.match(await work('api-server', 1), { address: 'api-server' });
  t.equal(await large[3], 'admissions');
  t.equal(turns.count, 3);
  for (const name of ['1', '2', '3']) {
    await waitUntil(`${name} is worked on`, () => {
      release(name);
      return turns.count < 4 - Number(name) || name === '3';
    });
  }
  await Promise.all(large);
  t.equal(turns.count, 0);
});

void t.test('above the limit of bytes too; where all are worked on, a lane below its share has room', async (t) => {
  const { work, hold, release } = createFixture({ bytes: 1000 });
  const held = ['1', '2'].map((name) => hold('stranger', name, 500));
  t.equal(await work('stranger', 1), 'bytes');
  t.match(await work('api-server', 1), { address: 'api-server' });
  t.match(await work('other', 1, 900), { address: 'other' });
  ['1', '2'].forEach(release);
  await Promise.all(held);
});

void t.test('few large bodies are worked on at once, and each address may have one', async (t) => {
  const { hold, order, release, work } = createFixture();
  const all = ['1', '2', '3'].map((name) => hold('stranger', name, MIB));
  all.push(hold('api-server', 'own', MIB));
  await new Promise(setImmediate);
  t.strictSame(order, ['1', '2', 'own']);
  t.match(await work('stranger', 1), { address: 'stranger' }, 'a small one does not wait for them');
  ['1', 'own'].forEach(release);
  await waitUntil('the next large one', () => order.includes('3'));
  ['2', '3'].forEach(release);
  await Promise.all(all);
});

void t.test('what does not get its turn in time is turned away', async (t) => {
  const { hold, release, turns } = createFixture({ waitMs: 20 });
  const held = ['1', '2'].map((name) => hold('stranger', name, MIB));
  t.equal(await hold('stranger', '3', MIB), 'large pods');
  t.equal(turns.count, 2);
  ['1', '2'].forEach(release);
  await Promise.all(held);
});

/** Strangers that make the server wait, over real TLS: what they hold is bounded, and pods are admitted meanwhile. */
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { createLogger } from '../../src/log.js';
import { epochMs, milliseconds } from '../../src/time.js';
import type { Admit } from '../../src/webhook/admission.js';
import { closeServer, listen } from '../../src/webhook/listen.js';
import { createApp, type WaitingLimits } from '../../src/webhook/server.js';
import { createTurns } from '../../src/webhook/turns.js';
import { waitForEvent, waitUntil } from '../support/wait.js';
import { createPki, request } from '../support/webhook-fixture.js';

const pki = await createPki();
const ca = pki.authority.certificatePem;
/** A connection's state in /proc/net/tcp (Linux, tcp_states.h). */
const ESTABLISHED = '01';
const HEAD = 'POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

async function startServer(test: Test, waiting: Partial<WaitingLimits>, body = '{}') {
  const clock = () => milliseconds(performance.now());
  const admit: Admit = () => Promise.resolve({ status: 200, body, outcome: 'injected', reason: '' });
  const log = createLogger(
    'error',
    () => undefined,
    () => epochMs(0),
  );
  const metrics = { countAdmission: () => undefined, observeDuration: () => undefined };
  const app = createApp({ admit, log, metrics, clock, turns: createTurns(clock), waiting }, pki.server);
  await app.fastify.ready();
  const port = await listen(app.server, 0, 'PORT');
  test.teardown(() => closeServer(app.server, 0));
  const headers = { 'content-type': 'application/json' };
  return {
    port,
    countConnections: () =>
      new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count))),
    send: (bytes: number) =>
      request(`https://127.0.0.1:${port}/mutate`, {
        method: 'POST',
        headers,
        ca,
        agent: false,
        body: 'x'.repeat(bytes),
      }),
    open: (options: ConnectionOptions = {}) => {
      const socket = connectTls({ port, host: '127.0.0.1', ca, ...options });
      socket.on('error', () => undefined);
      test.teardown(() => socket.destroy());
      return socket;
    },
  };
}

/** What strangers send; undefined: not even a TLS handshake. */
const FLOODS: Readonly<Record<string, string | undefined>> = {
  'no handshake': undefined,
  silence: '',
  'half a head': 'POST /mutate HTT',
  'an announced body': `${HEAD}Content-Length: 524288\r\n\r\n`,
  'half a body': `${HEAD}Content-Length: 524288\r\n\r\n${'x'.repeat(100_000)}`,
  'a body without a length': `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nxxxxx`,
};

for (const [name, text] of Object.entries(FLOODS)) {
  void t.test(`pods are admitted while strangers renew connections with ${name}`, async (t) => {
    const { port, open, send, countConnections } = await startServer(t, {
      connections: 128,
      heldBytes: 2 * 1024 * 1024,
    });
    let isOver = false;
    let closed = 0;
    const attack = (): void => {
      if (isOver) return;
      const socket: Socket = text === undefined ? connectTcp(port, '127.0.0.1') : open();
      socket
        .on('error', () => undefined)
        .on('close', () => {
          closed += 1;
          setTimeout(attack, 20);
        });
      t.teardown(() => socket.destroy());
      socket.resume();
      if (text) socket.write(text);
    };
    t.teardown(() => (isOver = true));
    for (let count = 0; count < 160; count += 1) attack();
    await waitUntil('connections are closed to make room', () => closed > 20);
    for (const bytes of [5, 600, 5, 600, 5, 600]) t.equal((await send(bytes * 1024)).status, 200, `${bytes} KiB`);
    t.ok((await countConnections()) < 400, 'connections are bounded');
    isOver = true;
  });
}

const LINUX_WITH_ROOM =
  process.platform === 'linux' && Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8')) >= 1000;

void t.test(
  'connections that are opened at once wait for none of them',
  { skip: !LINUX_WITH_ROOM && 'the system lets fewer wait' },
  async (t) => {
    const { port } = await startServer(t, {});
    const sockets = Array.from({ length: 800 }, () => connectTcp(port, '127.0.0.1'));
    // They have begun, and none can be accepted yet.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const peer = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const states = readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/ +/))
      .flatMap(([, , to, state]) => (to === peer ? [state] : []));
    t.equal(states.length, sockets.length, 'they are found');
    t.strictSame(
      states.filter((state) => state !== ESTABLISHED),
      [],
    );
    for (const socket of sockets) socket.on('error', () => undefined).destroy();
  },
);

const REFUSED: readonly (readonly [string, number])[] = [
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`, 411],
  [`${HEAD}\r\n`, 411],
  ['POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n', 415],
  ['POST /other HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', 404],
  ['GET /mutate HTTP/1.1\r\nHost: x\r\nExpect: x\r\nTransfer-Encoding: chunked\r\n\r\n', 404],
  [`${HEAD}Expect: x\r\nTransfer-Encoding: chunked\r\n\r\n`, 411],
];

void t.test('what is not served is answered by its head, and its connection is closed', async (t) => {
  const { open } = await startServer(t, {});
  for (const [text, status] of REFUSED) {
    const socket = open();
    socket.write(text);
    const [answer] = (await waitForEvent('the answer', socket, 'data')) as [Buffer];
    t.match(answer.toString(), new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close`, 'i'), text);
    await waitForEvent('the end', socket, 'close');
  }
});

void t.test('where there is no room for a body, the answer is 503, and the connection stays', async (t) => {
  const { open } = await startServer(t, { heldBytes: 1024 * 1024 });
  const body = 'x'.repeat(600_000);
  const head = `${HEAD}Content-Length: ${body.length}\r\n\r\n`;
  const [older, newer] = [open(), open()];
  older.write(head + body.slice(1));
  // What it has sent is held before the next one comes.
  await waitUntil('the older body is sent', () => older.writableLength === 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  newer.write(head + body);
  const [second] = (await waitForEvent('the answer', newer, 'data')) as [Buffer];
  t.match(second.toString(), /^HTTP\/1\.1 200 /);
  older.write('x');
  const [first] = (await waitForEvent('the answer', older, 'data')) as [Buffer];
  t.match(first.toString(), /^HTTP\/1\.1 503 [^]*retry-after: 1[^]*too many bytes of admissions/i);
  older.write(head + body);
  const [again] = (await waitForEvent('the answer', older, 'data')) as [Buffer];
  t.match(again.toString(), /^HTTP\/1\.1 200 /);
});

void t.test('connections whose answers are not taken make room', async (t) => {
  const { open, countConnections } = await startServer(
    t,
    { connections: 4, heldBytes: 1 << 30, stallMs: 600_000 },
    'x'.repeat(16 << 20),
  );
  for (let count = 0; count < 8; count += 1) {
    const deaf = open().pause();
    await waitForEvent('the handshake', deaf, 'secureConnect');
    deaf.write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
  }
  await waitUntil('the oldest are closed', async () => (await countConnections()) <= 4);
});

void t.test('a body that is announced as too large is refused at once, and the connection is closed', async (t) => {
  const { open } = await startServer(t, {});
  const socket = open();
  socket.write(`${HEAD}Content-Length: 99999999999\r\n\r\n`);
  const [answer] = (await waitForEvent('the answer', socket, 'data')) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1\.1 413 [\s\S]*connection: close/i);
  await waitForEvent('the end', socket, 'close');
});

void t.test('one that was answered stays; the oldest that never asked goes', async (t) => {
  const { open } = await startServer(t, { connections: 8 });
  const ask = async (socket: Socket): Promise<void> => {
    socket.write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
    await waitForEvent('the answer', socket, 'data');
  };
  const kept = open();
  await ask(kept);
  const silent: Socket[] = [];
  for (let count = 0; count < 8; count += 1) {
    const socket = open().resume();
    silent.push(socket);
    await waitForEvent('the handshake', socket, 'secureConnect');
  }
  await waitUntil('the oldest is closed', () => silent[0]?.destroyed === true);
  t.strictSame(silent.map(({ destroyed }) => destroyed).slice(1), Array(7).fill(false));
  await ask(kept);
  for (const socket of silent.slice(1)) await ask(socket);
  const late = open();
  await ask(late);
  await waitUntil('now the longest idle is', () => kept.destroyed);
  t.notOk(late.destroyed);
});

void t.test('half a head is closed in time, also on a kept connection, and so is who takes no answer', async (t) => {
  const small = await startServer(t, { stallMs: 100 });
  for (const text of ['POST /mutate HTT', `${HEAD}Content-Length: 2\r\n\r\n{}`]) {
    const socket = small.open();
    socket.write(text);
    if (text.startsWith(HEAD)) {
      await waitForEvent('the answer', socket, 'data');
      await new Promise((resolve) => setTimeout(resolve, 50));
      socket.write('POST /mut');
    }
    await waitForEvent('the end', socket.resume(), 'close');
  }
  const { open, countConnections } = await startServer(t, { stallMs: 100 }, 'x'.repeat(16 * 1024 * 1024));
  const deaf = open();
  deaf.pause().write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
  await waitUntil('its connection is open', async () => (await countConnections()) === 1);
  await waitUntil('its connection is closed', async () => (await countConnections()) === 0);
});

void t.test('a request before the answer to the last one closes the connection', async (t) => {
  const { open } = await startServer(t, {});
  const socket = open().resume();
  socket.write(`${HEAD}Content-Length: 2\r\n\r\n{}`.repeat(3));
  await waitForEvent('the end', socket, 'close');
});

void t.test('TLS 1.2 with forward secrecy and authenticated encryption only', async (t) => {
  const { open } = await startServer(t, {});
  const tls12 = { maxVersion: 'TLSv1.2' } as const;
  for (const ciphers of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305']) {
    const socket = open({ ...tls12, ciphers });
    await waitForEvent('the handshake', socket, 'secureConnect');
    t.equal(socket.getCipher().name, ciphers);
  }
  for (const ciphers of ['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES128-SHA', 'AES128-GCM-SHA256', 'AES128-SHA']) {
    const refused = waitForEvent('an end', open({ ...tls12, ciphers }), 'secureConnect');
    await t.rejects(refused, /handshake failure/i, ciphers);
  }
});

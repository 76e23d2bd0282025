/** The plain port, to which anybody may send anything: what is answered, and that nothing else is read. */
import { connect } from 'node:net';
import { Gauge, Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { createHealthServer } from '../../src/webhook/health.js';
import { closeServer, listen } from '../../src/webhook/listen.js';
import { createReadiness } from '../../src/webhook/readiness.js';
import { waitForEvent } from '../support/wait.js';
import { request } from '../support/webhook-fixture.js';

async function start(test: Test) {
  let collected = 0;
  let connections = 0;
  const registry = new Registry();
  const collect = (): void => void (collected += 1);
  registry.registerMetric(new Gauge({ name: 'x', help: 'x', registers: [], collect }));
  const server = createHealthServer(
    createReadiness(['listening'], () => undefined),
    registry,
    () => (connections += 1),
  );
  const port = await listen(server, 0, 'PORT');
  test.teardown(() => closeServer(server, 0));
  const ask = (path: string, method = 'GET') => request(`http://127.0.0.1:${port}${path}`, { method, agent: false });
  return { port, ask, collected: () => collected, connections: () => connections };
}

void t.test('GET and HEAD are answered, once in each connection', async (t) => {
  const { ask, connections } = await start(t);
  for (const [path, method, status] of [
    ['/healthz', 'GET', 200],
    ['/healthz', 'HEAD', 200],
    ['/readyz?verbose', 'GET', 503],
    ['/nowhere', 'GET', 404],
    ['/healthz', 'DELETE', 405],
  ] as const) {
    const answer = await ask(path, method);
    t.equal(answer.status, status, `${method} ${path}`);
    t.equal(answer.headers.connection, 'close');
  }
  t.equal(connections(), 5, 'each connection is reported, so that work gives way to the next');
});

void t.test('the connection of whoever announces a body is closed', async (t) => {
  const { port } = await start(t);
  for (const head of [
    'POST /healthz HTTP/1.1\r\nTransfer-Encoding: chunked',
    'GET /healthz HTTP/1.1\r\nContent-Length: 5',
    'GET /healthz HTTP/1.1\r\nExpect: x\r\nTransfer-Encoding: chunked',
  ]) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    t.teardown(() => socket.destroy());
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.write(`${head}\r\nHost: x\r\n\r\n`);
    await waitForEvent('the end', socket, 'close');
    t.equal(answer, '', head);
  }
});

void t.test('metrics are collected once, however many ask at the same time', async (t) => {
  const { ask, collected } = await start(t);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('/metrics')));
  for (const { text } of answers) t.match(text, /^x 0$/m);
  t.ok(collected() < 20, `${collected()} times for 20 requests`);
});

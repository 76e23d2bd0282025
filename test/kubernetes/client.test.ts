/** Requests and watches against a server that answers as each test says. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { createRefusal, judgeWrite, readMessage } from '../../src/kubernetes/answer.js';
import { createKubernetesApi } from '../../src/kubernetes/client.js';
import type { Connection } from '../../src/kubernetes/connection.js';
import { selectMembers } from '../../src/kubernetes/json-picker.js';
import { waitForEvent } from '../support/wait.js';

interface Received {
  readonly line: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

interface StartOptions {
  readonly path?: string;
  readonly authorize?: Connection['authorize'];
}

type Answer = (response: ServerResponse, message: IncomingMessage) => void;

async function start(test: Test, answer: Answer, { path = '', authorize }: StartOptions = {}) {
  const received: Received[] = [];
  const server = createServer((message, response) => {
    void text(message).then((body) => {
      received.push({ line: `${message.method ?? ''} ${message.url ?? ''}`, headers: message.headers, body });
      answer(response, message);
    });
  }).listen(0, '127.0.0.1');
  await waitForEvent('the server listens', server, 'listening');
  test.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  let tokens = 0;
  const api = createKubernetesApi({
    server: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`),
    authorize: authorize ?? (() => Promise.resolve({ headers: { authorization: `Bearer ${(tokens += 1)}` } })),
  });
  test.teardown(() => api.close());
  return { api, received };
}

/** For answers that come. */
const PATIENT_MS = 30_000;
const PICK = { selection: selectMembers({ name: 'scalar', n: 'scalar' }), maxStringBytes: 100, overlong: '(long)' };
const WATCH = { ...PICK, connectMs: PATIENT_MS, idleMs: PATIENT_MS };

void t.test('each verb sends its method, body and content type, and gives the parsed answer', async (t) => {
  const { api, received } = await start(t, (response) => response.writeHead(201).end('{"kind":"Any"}'), {
    path: '/cluster/',
  });
  const answers = [
    await api.get('/a?b=c', PATIENT_MS),
    await api.post('/a', { name: 'é' }, PATIENT_MS),
    await api.put('/a', { put: 1 }, PATIENT_MS),
    await api.patch('/a', 'application/strategic-merge-patch+json', { patch: 1 }, PATIENT_MS),
  ];
  t.strictSame(answers, Array(4).fill({ status: 201, body: { kind: 'Any' } }));
  const json = 'application/json';
  t.strictSame(
    received.map(({ line, headers, body }) => [line, headers['content-type'], headers['content-length'], body]),
    [
      ['GET /cluster/a?b=c', undefined, undefined, ''],
      ['POST /cluster/a', json, '13', '{"name":"é"}'],
      ['PUT /cluster/a', json, '9', '{"put":1}'],
      ['PATCH /cluster/a', 'application/strategic-merge-patch+json', '11', '{"patch":1}'],
    ],
  );
  t.strictSame(
    received.map(({ headers }) => headers.authorization),
    ['Bearer 1', 'Bearer 2', 'Bearer 3', 'Bearer 4'],
    'each asks for its own credentials',
  );
  t.match(received[0]?.headers['user-agent'], /^ado-git-identity\//);
});

void t.test('an answer that is not JSON has no body', async (t) => {
  const { api } = await start(t, (response) => response.writeHead(502).end('<html>'));
  t.strictSame(await api.get('/a', PATIENT_MS), { status: 502, body: undefined });
});

void t.test('an answer that does not come in time, or not whole, is an error', async (t) => {
  const { api } = await start(t, (response, { url }) => {
    if (url === '/cut') response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy());
  });
  await t.rejects(api.get('/silent?continue=long', 50), {
    code: 'kubernetes-api',
    message: 'GET /silent at the Kubernetes API server: no answer within 0.05 s',
  });
  await t.rejects(api.get('/cut', PATIENT_MS), { code: 'kubernetes-api', message: /^GET \/cut at .*: aborted$/ });
});

void t.test(
  'credentials that do not come, as from a plug-in that hangs, are an error in time, and nothing is sent later',
  async (t) => {
    let release: (options: object) => void = () => undefined;
    const authorize = (): Promise<object> => new Promise((resolve) => (release = resolve));
    const { api, received } = await start(t, (response) => response.end('{}'), { authorize });
    await t.rejects(api.post('/late', {}, 50), { code: 'kubernetes-api', message: /no answer within 0\.05 s/ });
    const sendLate = release;
    const watching = { ...WATCH, connectMs: 50, signal: new AbortController().signal, onEvent: () => undefined };
    await t.rejects(api.watch('/watch', watching), { code: 'kubernetes-api', message: /no answer within 0\.05 s/ });
    release({});
    sendLate({});
    const next = api.get('/next', PATIENT_MS);
    release({});
    t.match(await next, { status: 200 });
    t.strictSame(
      received.map(({ line }) => line),
      ['GET /next'],
    );
  },
);

void t.test('a kept connection that the server closes is replaced for a read, not for a write', async (t) => {
  const used = new WeakSet();
  const { api, received } = await start(t, (response, { socket }) => {
    if (used.has(socket)) socket.destroy();
    else response.end('{}');
    used.add(socket);
  });
  t.equal((await api.get('/a', PATIENT_MS)).status, 200);
  t.equal((await api.get('/a', PATIENT_MS)).status, 200);
  t.equal(received.length, 3, 'the second was sent twice');
  await t.rejects(api.post('/a', {}, PATIENT_MS), { code: 'kubernetes-api', message: /^POST \/a / });
  t.equal(received.length, 4, 'what writes may have been done already');
});

void t.test('a watch gives each whole line, however the stream is cut', async (t) => {
  const bytes = Buffer.from('{"name":"é"}\n\n{"n":2}\n{"n":');
  const { api } = await start(t, (response) => {
    const cut = bytes.indexOf(0xc3) + 1;
    response.write(bytes.subarray(0, cut), () => setTimeout(() => response.end(bytes.subarray(cut)), 20));
  });
  const events: unknown[] = [];
  const { signal } = new AbortController();
  t.equal(await api.watch('/a', { ...WATCH, signal, onEvent: (event) => events.push(event) }), 200);
  t.strictSame(events, [{ name: 'é' }, { n: 2 }]);
});

void t.test('a watch ends with the status of a refusal, and with an error in all other cases', async (t) => {
  const { api } = await start(t, (response, { url }) => {
    if (url === '/gone') response.writeHead(410).end('{}\n');
    if (url === '/open') response.write('{}\n');
    if (url === '/open?cut') response.write('{}\n', () => response.destroy());
  });
  const events: unknown[] = [];
  const onEvent = (event: unknown): void => void events.push(event);
  const { signal } = new AbortController();
  t.equal(await api.watch('/gone', { ...WATCH, signal, onEvent }), 410);
  t.strictSame(events, [], 'what a refusal brings is no event');

  const prefix = 'at the Kubernetes API server:';
  await t.rejects(api.watch('/silent', { ...WATCH, connectMs: 50, signal, onEvent }), {
    message: `GET /silent ${prefix} no answer within 0.05 s`,
  });
  await t.rejects(api.watch('/open', { ...WATCH, idleMs: 50, signal, onEvent }), {
    message: `GET /open ${prefix} nothing came for 0.05 s`,
  });
  await t.rejects(api.watch('/open?cut', { ...WATCH, signal, onEvent }), { message: `GET /open ${prefix} aborted` });
  const fail = (): never => {
    throw new Error('not understood');
  };
  await t.rejects(api.watch('/open', { ...WATCH, signal, onEvent: fail }), { message: /: not understood$/ });

  const stop = new AbortController();
  const running = api.watch('/open', { ...WATCH, signal: stop.signal, onEvent: () => stop.abort() });
  await t.rejects(running, { message: `GET /open ${prefix} given up` });
  await t.rejects(api.watch('/open', { ...WATCH, signal: stop.signal, onEvent }), { message: /: given up$/ });
});

void t.test('the outcome of a write', (t) => {
  const object = 'the Secret apps/tls';
  t.equal(judgeWrite({ status: 200, body: {} }, 'update', object), 'written');
  t.equal(judgeWrite({ status: 201, body: {} }, 'update', object), 'written');
  t.equal(judgeWrite({ status: 409, body: {} }, 'update', object), 'lost');
  t.throws(() => judgeWrite({ status: 500, body: undefined }, 'update', object), {
    code: 'kubernetes-api',
    message: 'the API server did not update the Secret apps/tls (500)',
  });
  t.equal(
    createRefusal({ status: 403, body: { message: 'forbidden' } }, 'get', object).message,
    'the webhook may not get the Secret apps/tls: forbidden; its roles are not those of the chart: run helm upgrade again',
  );
  for (const body of [undefined, null, 'text', [], { message: 7 }]) t.equal(readMessage({ body }), '');
  t.end();
});

/** Pods elsewhere that flood the sidecar's port fail no probe of the kubelet. */
import { connect } from 'node:net';
import t from 'tap';
import { ask, createSidecarFixture } from '../support/sidecar-fixture.js';
import { waitForEvent, waitUntil } from '../support/wait.js';

for (const [name, text] of [
  ['nothing', ''],
  ['half a head', 'GET /healthz HTT'],
] as const) {
  void t.test(`probes are answered while connections with ${name} are renewed`, async (t) => {
    const sidecar = await (await createSidecarFixture(t)).startOnPort();
    await waitUntil('it listens', async () => (await ask(sidecar.port, '/healthz')).status === 200);
    let isOver = false;
    let closed = 0;
    const attack = (): void => {
      if (isOver) return;
      const socket = connect(sidecar.port, '127.0.0.1', () => socket.write(text));
      t.teardown(() => socket.destroy());
      socket
        .on('error', () => undefined)
        .on('close', () => {
          closed += 1;
          setTimeout(attack, 20);
        });
    };
    t.teardown(() => (isOver = true));
    for (let count = 0; count < 200; count += 1) attack();
    await waitUntil('the oldest connections are closed', () => closed > 100);
    for (let count = 0; count < 20; count += 1) t.equal((await ask(sidecar.port, '/healthz')).status, 200);
    isOver = true;
  });
}

void t.test('the connection of whoever announces a body is closed, and nothing of it is read', async (t) => {
  const sidecar = await (await createSidecarFixture(t)).startOnPort();
  await waitUntil('it listens', async () => (await ask(sidecar.port, '/healthz')).status === 200);
  for (const head of [
    'POST /healthz HTTP/1.1\r\nTransfer-Encoding: chunked',
    'GET /healthz HTTP/1.1\r\nContent-Length: 5',
    'GET /healthz HTTP/1.1\r\nExpect: x\r\nTransfer-Encoding: chunked',
  ]) {
    const socket = connect(sidecar.port, '127.0.0.1').on('error', () => undefined);
    t.teardown(() => socket.destroy());
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.write(`${head}\r\nHost: x\r\n\r\n`);
    await waitForEvent('the end', socket, 'close');
    t.equal(answer, '', head);
  }
});

/** Pods elsewhere that flood the sidecar's port fail no probe of the kubelet. */
import { connect } from 'node:net';
import t from 'tap';
import { ask, createSidecarFixture } from '../support/sidecar-fixture.js';
import { waitUntil } from '../support/wait.js';

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

/** A body that must make room for others, or for itself. */
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { createHeldBytes } from '../../src/webhook/held-bytes.js';
import { readBody } from '../../src/webhook/request-body.js';

void t.test('a body that grows while there is no room gives up its own place', async (t) => {
  const held = createHeldBytes(1_000_000);
  const open = () => {
    const socket = Object.assign(new PassThrough(), { remoteAddress: '10.0.0.1' });
    const request = Object.assign(new PassThrough(), { headers: { 'content-length': '900000' }, socket });
    const body = readBody(request as unknown as IncomingMessage, { held, timeoutMs: 60_000 });
    const send = async (bytes: number): Promise<void> => {
      request.write(Buffer.alloc(bytes));
      await setImmediate();
    };
    return { body, send, end: () => request.end() };
  };
  const [older, newer] = [open(), open()];
  await older.send(200_000);
  await newer.send(300_000);
  await older.send(300_000);
  await older.send(400_000);
  older.end();
  t.equal(await older.body, 'no-room');
  await newer.send(600_000);
  newer.end();
  t.equal((await newer.body).length, 900_000, 'the other one is whole');
});

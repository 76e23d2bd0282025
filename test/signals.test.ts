/** A program that is asked to end. */
import { EventEmitter } from 'node:events';
import t from 'tap';
import { listenToSignals } from '../src/signals.js';

void t.test('the first signal asks for an orderly end, a second one skips the drain', (t) => {
  const exits: number[] = [];
  const process = Object.assign(new EventEmitter(), { exit: (code: number) => exits.push(code) });
  const stop = listenToSignals(process);
  t.notOk(stop.aborted);
  process.emit('SIGTERM');
  t.ok(stop.aborted);
  t.strictSame(exits, []);
  process.emit('SIGINT');
  t.strictSame(exits, [1]);
  t.end();
});

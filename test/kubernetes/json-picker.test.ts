/** The parts of a JSON text that are wanted, however its bytes are cut, and whatever else it holds. */
import { deepStrictEqual, equal } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { JsonPicker, type Selection, selectMembers } from '../../src/kubernetes/json-picker.js';

const OVERLONG = '(long)';
const MAX_STRING_BYTES = 60;
const NAMES = ['a', 'b', 'c"\\', 'é😀'];

/** Wants `a` and everything named like this below it, elements of arrays too, and no more. */
const RECURSIVE: Selection = {
  choose: (name) => (name === 'b' ? 'scalar' : name === '' || NAMES.slice(0, 3).includes(name) ? RECURSIVE : undefined),
};

interface Options {
  readonly selection?: Selection;
  /** Sizes of the chunks, again from the start when they are used up. */
  readonly sizes?: readonly number[];
}

function pick(text: string, { selection = RECURSIVE, sizes = [text.length * 3 + 1] }: Options = {}): unknown {
  const picker = new JsonPicker({ selection, maxStringBytes: MAX_STRING_BYTES, overlong: OVERLONG });
  // A picker is used again for the next text, also after one that was cut short.
  picker.write(Buffer.from('{"a":[{"a":"cut'));
  equal(picker.end(), undefined);
  const bytes = Buffer.from(text);
  for (let start = 0, index = 0; start < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    picker.write(bytes.subarray(start, start + size));
    start += size;
  }
  return picker.end();
}

/** What the picker should give, from the whole value. */
function prune(value: unknown, wanted: Selection | 'scalar'): unknown {
  if (typeof value === 'string') return isOverlong(value) ? OVERLONG : value;
  if (typeof value !== 'object' || value === null) return value;
  if (wanted === 'scalar') return undefined;
  const member = (name: string, item: unknown): unknown => {
    const chosen = wanted.choose(name);
    return chosen === undefined ? undefined : prune(item, chosen);
  };
  if (Array.isArray(value)) return value.map((item) => member('', item)).filter((item) => item !== undefined);
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, item]) => [name, member(name, item)])
      .filter(([, item]) => item !== undefined),
  );
}

function isOverlong(text: string): boolean {
  return Buffer.byteLength(JSON.stringify(text)) - 2 > MAX_STRING_BYTES;
}

void t.test('it gives what JSON.parse gives, without what is not wanted', (t) => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.oneof(fc.string({ unit: 'grapheme', maxLength: 80 }), fc.double(), fc.boolean(), fc.constant(null)),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...NAMES, 'other'), tie('value')),
    ),
  }));
  const root = fc.oneof(fc.array(value), fc.dictionary(fc.constantFrom(...NAMES, 'other'), value));
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 });
  const indent = fc.constantFrom('', ' ', '\n\t');
  fc.assert(
    fc.property(root, sizes, indent, (value, sizes, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      const expected = prune(JSON.parse(text), RECURSIVE);
      deepStrictEqual(pick(text, { sizes }), expected);
    }),
  );
  t.pass('for any text and any chunks');
  t.end();
});

void t.test('what is wanted is finished once it is whole, and can be left out', (t) => {
  const seen: unknown[] = [];
  const item: Selection = {
    choose: () => 'scalar',
    finish: (value) => {
      seen.push(value);
      return undefined;
    },
  };
  const selection = selectMembers({ items: { choose: () => item } });
  t.strictSame(pick('{"items":[{"a":1},{"b":"two","c":{}}],"more":[{"a":2}]}', { selection }), { items: [] });
  t.strictSame(seen, [{ a: 1 }, { b: 'two' }]);
  t.end();
});

void t.test('a string is cut at its written length, never in what it says', (t) => {
  const selection = selectMembers({ a: 'scalar' });
  for (const [text, expected] of [
    ['x'.repeat(60), 'x'.repeat(60)],
    ['x'.repeat(61), OVERLONG],
    ['<'.repeat(10), '<'.repeat(10)],
    ['é'.repeat(31), OVERLONG],
  ] as const) {
    const written = JSON.stringify({ a: text }).replaceAll('<', '\\u003c');
    t.strictSame(pick(written, { selection, sizes: [7] }), { a: expected });
  }
  t.end();
});

void t.test('what is not JSON gives nothing', (t) => {
  for (const text of ['', '<html>', 'null', '"a"', '{', '{"a":"b', '{}{}', '}', '{}}', '[1,2', 'x{"a":1}']) {
    t.equal(pick(text), undefined, text);
  }
  t.end();
});

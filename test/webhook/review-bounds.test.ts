/** What is counted before a review is parsed. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import t from 'tap';
import { decodeReview } from '../../src/webhook/admission-review.js';
import { findExcess } from '../../src/webhook/review-bounds.js';

const find = (json: string): string | undefined => findExcess(Buffer.from(json));
const list = (count: number, item = '0'): string => `[${Array.from({ length: count }, () => item).join(',')}]`;
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

void t.test('up to each limit it is parsed, and not beyond', (t) => {
  t.equal(find(list(32_768)), undefined);
  t.match(find(list(32_769)), /more than 32768 items in one list or object/);
  t.match(find(`{"a":[],"b":${list(32_769, '{"a":0}')}}`), /more than 32768 items/, 'also where the items are objects');
  t.match(find(`{${Array.from({ length: 32_769 }, (_, index) => `"${index}":0`).join(',')}}`), /more than 32768 items/);
  t.equal(find(list(3, list(32_768))), undefined, 'each list is counted by itself');
  t.match(find(list(4, list(32_768))), /more than 100000 values/);
  t.equal(find(nested(100)), undefined);
  t.equal(find(list(3, nested(99))), undefined, 'side by side they are no deeper');
  t.match(find(nested(101)), /deeper than 100 levels/);
  t.end();
});

void t.test('what stands in a text does not count', (t) => {
  const text = '[{",'.repeat(100_000);
  t.equal(find(JSON.stringify({ [text]: text })), undefined);
  t.equal(find(JSON.stringify('\\'.repeat(3))), undefined);
  t.match(find(`[${JSON.stringify('\\')},${nested(100)}]`), /deeper/, 'a text that ends with a backslash does end');
  t.match(find(`[${JSON.stringify('"')},${nested(100)}]`), /deeper/, 'and one that ends with a quote');
  t.end();
});

void t.test('of any JSON it counts what JSON.parse builds', (t) => {
  const measure = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(measure)) : 0;
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.nat(100), (value, outside) => {
        const json = `${'['.repeat(outside)}${JSON.stringify(value)}${']'.repeat(outside)}`;
        const isDeep = find(json)?.includes('deeper') === true;
        if (isDeep !== outside + measure(value) > 100) throw new Error(json);
      }),
    ),
  );
  t.end();
});

void t.test('a review over a limit, or with an endless name, is answered as unreadable or cut', (t) => {
  const review = (request: object): Buffer =>
    Buffer.from(
      JSON.stringify({
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        request: {
          uid: 'u',
          operation: 'CREATE',
          kind: { group: '', version: 'v1', kind: 'Pod' },
          namespace: 'n'.repeat(63),
          object: { metadata: { name: 'p'.repeat(100_000) } },
          ...request,
        },
      }),
    );
  t.match(decodeReview(Buffer.from(nested(101))), { kind: 'unreadable', message: /202 bytes\) is nested deeper/ });
  t.match(decodeReview(review({ uid: 'u'.repeat(129) })), {
    kind: 'unreadable',
    message: /uid "u{77}\.\.\." can.t be the uid/,
  });
  t.match(decodeReview(review({ namespace: 'n'.repeat(64) })), {
    kind: 'incomplete',
    message: /request.namespace "n{64}" can.t be a name/,
  });
  t.match(decodeReview(review({})), { kind: 'incomplete', message: /metadata.name "p{77}\.\.\." can.t be a name/ });
  t.match(decodeReview(review({ kind: { group: 'g'.repeat(100_000) } })), { message: /^.{1,300}$/ });
  t.end();
});

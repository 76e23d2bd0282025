/** Texts from outside in sentences: short, and all of it shown as itself. */
import fc from 'fast-check';
import t from 'tap';
import {
  isApiVersion,
  isGenerateName,
  isKind,
  isNamespaceName,
  isObjectName,
  isUid,
} from '../../src/values/kubernetes.js';
import { cleanLine, quote, showName } from '../../src/values/text.js';

/** Control, format and ignorable characters, lone surrogates, and blanks but the space. */
const NOT_PRINTABLE = /(?! )[\p{C}\p{Z}\p{DI}]/u;
const SAMPLES = [
  '\u0000',
  '\u001b[2J',
  '\u007f',
  '\u009b',
  '\u200b',
  '\u202e',
  '\u2066',
  '\ufeff',
  '\u2028',
  '\u3164',
  '\u00a0',
  '\ud800',
  '\u{e0041}',
  '\n',
];

void t.test('what is not printable is escaped in quotes, and left out of a line', (t) => {
  for (const sample of SAMPLES) {
    const text = `before${sample}after`;
    for (const shown of [quote(text), showName(text), cleanLine(text)]) t.notMatch(shown, NOT_PRINTABLE);
    t.match(quote(text), /^"before\\.+after"$/);
  }
  t.equal(quote('a\u202eb "c" \n'), String.raw`"a\u{202e}b \"c\" \n"`);
  t.equal(cleanLine('\u001ba\u200b\n\t b '), 'a b');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) =>
      [quote(text), showName(text), cleanLine(text)].every((shown) => !NOT_PRINTABLE.test(shown)),
    ),
  );
  t.end();
});

void t.test('names are shown as they are, other texts in quotes', (t) => {
  for (const name of ['app', 'a.b-c', 'group.example/key', '/var/run', 'A_B']) t.equal(showName(name), name);
  t.equal(showName('run this'), '"run this"');
  t.equal(showName(''), '""');
  t.equal(showName('x'.repeat(1e6)).length, 80);
  t.end();
});

void t.test('names as Kubernetes takes them', (t) => {
  const label63 = 'l'.repeat(63);
  const cases: [(text: string) => boolean, string[], string[]][] = [
    [
      isNamespaceName,
      ['a', '0', 'team-a', 'a--b', label63],
      ['', 'A', 'a.b', '-a', 'a-', `${label63}l`, 'a\n', 'a/b', '.', '..'],
    ],
    [
      isObjectName,
      ['a', 'a.b', 'a-b.c--d', 'a'.repeat(253)],
      ['', 'A', 'a..b', '.a', 'a.', 'a-.b', 'a.-b', 'a'.repeat(254), '..', 'a_b', 'a\n'],
    ],
    [isGenerateName, ['app-', 'app--', 'a.b-', 'a'], ['', '-', '-a', 'app-/', 'A-', 'a'.repeat(254)]],
    [isApiVersion, ['v1', 'apps/v1', 'argoproj.io/v1alpha1'], ['', '/', '/v1', 'apps/', 'a/b/c', '../v1', 'a/b/c/d']],
    [isKind, ['ReplicaSet', 'cronTab', 'K8s'], ['', '1Kind', 'A b', 'A/b', 'K'.repeat(64)]],
    [isUid, ['u', '705ab4f5-6393-11e8-b7cc-42010a800002', 'u'.repeat(128)], ['', 'a b', 'é', 'a\n', 'u'.repeat(129)]],
  ];
  for (const [isRight, right, wrong] of cases) {
    for (const name of right) t.ok(isRight(name), `${isRight.name}: ${JSON.stringify(name)}`);
    for (const name of wrong) t.notOk(isRight(name), `${isRight.name}: not ${JSON.stringify(name)}`);
  }
  t.end();
});

/** What a program says when it ends by an error, and its exit code. */
import t from 'tap';
import {
  ConfigurationError,
  describeError,
  type ErrorCode,
  exitCodeOf,
  ProductError,
  reportError,
} from '../src/errors.js';

void t.test('2 is for what the user must change, 1 for what could not be done', (t) => {
  const codes: Readonly<Record<ErrorCode, 1 | 2>> = {
    configuration: 2,
    usage: 2,
    certificate: 2,
    document: 1,
    output: 1,
    'kubernetes-api': 1,
    listen: 1,
  };
  for (const [code, exitCode] of Object.entries(codes)) {
    t.equal(exitCodeOf(new ProductError(code as ErrorCode, 'a')), exitCode, code);
  }
  t.equal(exitCodeOf(new ConfigurationError(['a'])), 2);
  t.equal(exitCodeOf(new TypeError('a')), 1, 'an unexpected error');
  t.equal(exitCodeOf('a'), 1);
  t.end();
});

void t.test('each problem is a line', (t) => {
  const lines: string[] = [];
  const write = (text: string): void => void lines.push(text);
  t.equal(reportError('webhook', new ConfigurationError(['A is wrong.', 'B is missing.']), write), 2);
  t.equal(reportError('sidecar', new Error('no space left'), write), 1);
  t.strictSame(lines, ['webhook: A is wrong.\n', 'webhook: B is missing.\n', 'sidecar: no space left\n']);
  t.end();
});

void t.test('the message of anything that was thrown', (t) => {
  const refused = Object.assign(new Error(''), { code: 'ECONNREFUSED' });
  const cases: [unknown, string][] = [
    [new Error('a'), 'a'],
    [refused, 'ECONNREFUSED'],
    [new TypeError(''), 'TypeError'],
    [new AggregateError([new Error('a'), refused, new Error('a')]), 'a; ECONNREFUSED'],
    [
      new Error(
        'unable to verify the first certificate; if the root CA is installed locally, try running Node.js with --use-system-ca',
      ),
      'unable to verify the first certificate',
    ],
    ['a', 'a'],
    [undefined, 'undefined'],
  ];
  for (const [error, message] of cases) t.equal(describeError(error), message);
  t.end();
});

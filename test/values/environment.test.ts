/** Variables of an environment and flags of a command become a configuration, or a list of all that is wrong. */
import t from 'tap';
import { readFlags } from '../../src/cli/arguments.js';
import { ConfigurationError } from '../../src/errors.js';
import { readClientId } from '../../src/values/entra-ids.js';
import { type Environment, readSettings } from '../../src/values/environment.js';
import { readWhole } from '../../src/values/readers.js';
import { readProxy } from '../../src/values/urls.js';

const readPort = readWhole(1, 9, 'a port');

void t.test('values are read without the blanks around them, and an empty one counts as none', (t) => {
  const environment = { PORT: ' 7\n', NAME: ' a b ', BLANK: ' ', ID: ' ' };
  const config = readSettings(environment, ({ read, text, require }) => ({
    port: read('PORT', readPort),
    name: require('NAME', 'a name'),
    blank: text('BLANK'),
    none: read('NONE', readPort),
  }));
  t.strictSame(config, { port: 7, name: 'a b', blank: undefined, none: undefined });
  t.ok(Object.isFrozen(config));
  t.end();
});

void t.test('everything wrong is reported at once, in the order of reading', (t) => {
  const problems = catchProblems({ PORT: '10', ID: 'me', PROXY: 'http://me:secret@proxy' });
  t.strictSame(problems.slice(0, 4), [
    'PORT "10" is not a port from 1 to 9.',
    'NAME is missing; set it to a name.',
    'ID "me" is not a client id; write it as 00000000-0000-0000-0000-000000000000.',
    'PROXY is not http://HOST:PORT without user name, password and path; a proxy that wants a password is not supported.',
  ]);
  t.strictSame(problems.slice(4), ['PORT and NAME do not fit.']);
  t.end();
});

void t.test('a value of any length and with any characters makes one line', (t) => {
  const [problem = ''] = catchProblems({ PORT: `1\n${'x'.repeat(1000)}`, NAME: 'a' });
  t.match(problem, /^PORT "1\\nx+\.\.\." is not a port from 1 to 9\.$/);
  t.ok(problem.length < 150);
  t.end();
});

void t.test('flags are read in the same way', (t) => {
  const flags = { port: '7', id: 'me', name: undefined };
  const problems = catchAll(() =>
    readFlags(flags, ({ read, require }) => [
      read('--port', readPort),
      read('--id', readClientId),
      require('--name', 'a name'),
    ]),
  );
  t.match(problems, [/^--id "me" is not a client id; /, /^--name is missing; set it to a name\.$/]);
  t.equal(problems.length, 2);
  t.end();
});

/** Reads some settings, and returns what is wrong with them. */
function catchProblems(environment: Environment): readonly string[] {
  return catchAll(() =>
    readSettings(environment, ({ read, require, report }) => {
      read('PORT', readPort);
      require('NAME', 'a name');
      require('ID', 'a client id', readClientId);
      read('PROXY', readProxy);
      report('PORT and NAME do not fit.');
      return {};
    }),
  );
}

function catchAll(read: () => unknown): readonly string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

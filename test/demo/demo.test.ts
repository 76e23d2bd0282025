import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { describePatch } from '../../src/demo/format.js';
import { createTerminal } from '../../src/demo/terminal.js';
import { plainNodeCommand } from '../support/node-command.js';
import { waitForEvent } from '../support/wait.js';

const PROGRAM = new URL('../../dist/cli.cjs', import.meta.url).pathname;

interface Shown {
  readonly code: number | null;
  readonly output: string;
  /** Files and processes that it left behind. */
  readonly left: readonly string[];
}

/** Runs the demo with a temporary directory of its own; `meanwhile` sees the output so far. */
async function runDemo(
  t: Test,
  env: Record<string, string> = {},
  meanwhile: (output: string, interrupt: () => void) => void = () => undefined,
): Promise<Shown> {
  const directory = t.testdir();
  const child = spawn(...plainNodeCommand(PROGRAM, 'demo'), {
    env: { PATH: process.env['PATH'] ?? '', TMPDIR: directory, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    meanwhile(output, () => child.kill('SIGINT'));
  });
  const errors = text(child.stderr);
  const [code] = (await waitForEvent('the end of the program', child, 'close', { withinSeconds: 180 })) as [
    number | null,
  ];
  t.equal(await errors, '');
  return { code, output, left: [...readdirSync(directory), ...listProcesses(directory)] };
}

/** Processes whose environment names the directory, as a sidecar's or git's does. */
function listProcesses(directory: string): string[] {
  if (!existsSync('/proc/self/environ')) return [];
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry) || entry === String(process.pid)) return false;
    try {
      return readFileSync(`/proc/${entry}/environ`, 'utf8').includes(`${directory}/`);
    } catch {
      return false;
    }
  });
}

void t.test('the demo checks everything, and leaves nothing behind', async (t) => {
  const { code, output, left } = await runDemo(t);
  t.equal(code, 0, output);
  t.match(
    output,
    /\n {2}ok {6}git clone --recurse-submodules https:\/\/dev\.azure\.com\/contoso\/payments\/_git\/api\n/,
  );
  t.match(output, /\nSuccess: \d+ steps passed(, 1 skipped,)? in \d+ s\.\n$/);
  t.match(
    output,
    /\n +kind: ServiceAccount\n[^]*azure\.workload\.identity\/client-id: [\w-]{36}/,
    'where the identity is from',
  );
  t.match(
    output.replace(/\s+/g, ' '),
    'HTTPS_PROXY and ADO_GIT_EXTRA_CA lead the sidecar to the emulators of this demo.',
  );
  t.notMatch(output, 'FAILED');
  t.notMatch(output, /eyJ[\w-]{10}/, 'no token');
  t.notMatch(output, '\u001b', 'plain lines');
  t.strictSame(left, []);
});

void t.test('when interrupted, it ends with 1 and leaves nothing behind', async (t) => {
  let interrupted = false;
  const { code, output, left } = await runDemo(t, {}, (soFar, interrupt) => {
    if (interrupted || !soFar.includes('the volumes are created')) return;
    interrupted = true;
    interrupt();
  });
  t.equal(code, 1);
  t.match(output, /interrupted\n\nFailure: a step failed after \d+ steps passed/);
  t.strictSame(left, []);
});

void t.test('without git it says that git is missing', async (t) => {
  const { code, output, left } = await runDemo(t, { PATH: '/nonexistent' });
  t.equal(code, 1);
  t.match(output, /FAILED .*\n +git is not installed, or not found in PATH; install git 2\.32 or later\n/);
  t.strictSame(left, []);
});

void t.test('a terminal gets marks, and colours unless it does not want them', (t) => {
  const show = (isTerminal: boolean, colours: boolean): string => {
    let shown = '';
    const terminal = createTerminal({ write: (part) => (shown += part), isTerminal, colours });
    terminal.begin('one');
    terminal.pass('one');
    terminal.skip('two', 'not here');
    terminal.fail('three', 'a\nb');
    return shown;
  };
  t.equal(
    show(false, true),
    '  ok      one\n  skipped two\n          not here\n  FAILED  three\n          a\n          b\n',
  );
  t.equal(
    show(true, false),
    '  … one\r\u001b[2K  ✓ one\n\r\u001b[2K  - two\n    not here\n\r\u001b[2K  ✗ three\n    a\n    b\n',
  );
  t.match(show(true, true), '\u001b[32m✓\u001b[39m one\n');
  t.end();
});

void t.test('a patch reads like YAML', (t) => {
  const lines = describePatch([
    { op: 'add', path: '/metadata/labels/a~1b', value: 'true' },
    { op: 'replace', path: '/spec/x', value: { list: [{ name: 'a', mounts: [] }, 1], text: 'one\n\ttwo\n', no: null } },
    { op: 'add', path: '/spec/long', value: 'line\n'.repeat(20) },
    { op: 'remove', path: '/spec/y' },
  ]);
  t.strictSame(lines, [
    'add /metadata/labels/a/b: "true"',
    'replace /spec/x:',
    '  list:',
    '    - { name: a, mounts: [] }',
    '    - 1',
    '  text: |',
    '    one',
    '        two',
    '  no: null',
    'add /spec/long: |',
    ...Array<string>(8).fill('  line'),
    '  … 12 more lines',
    'remove /spec/y',
  ]);
  t.end();
});

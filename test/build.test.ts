/** What is in the bundles, in the image and in the npm package. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { plainNodeCommand } from './support/node-command.js';

const ROOT = join(import.meta.dirname, '..');

interface Bundle {
  readonly name: string;
  /** Source files and files of packages. */
  readonly files: readonly string[];
}

const bundles = JSON.parse(readFileSync(join(ROOT, 'dist/contents.json'), 'utf8')) as readonly Bundle[];
const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const copied = dockerfile
  .match(/^COPY --from=build .*$/gm)
  ?.flatMap((line) => line.split(' ').slice(2, -1))
  .map((path) => path.replace('/build/', ''));

function readDist(name: string): string {
  return readFileSync(join(ROOT, 'dist', name), 'utf8');
}

void t.test('the image has all bundles but the demo, and no emulator', (t) => {
  const wanted = bundles.filter(({ name }) => name !== 'demo').map(({ name }) => `dist/${name}.cjs`);
  t.strictSame(copied?.sort(), ['dist/THIRD-PARTY-NOTICES', ...wanted].sort());
  t.match(dockerfile, /^COPY LICENSE \/app\/$/m);
  for (const { name, files } of bundles) {
    const development = files.filter((file) => /^src\/(?:emulators|demo)\//.test(file));
    t.equal(development.length > 0, name === 'demo', `${name}: ${development.join(', ')}`);
  }
  t.end();
});

void t.test('in the image, demo says where to get it', (t) => {
  const image = t.testdir();
  for (const file of copied ?? []) cpSync(join(ROOT, file), join(image, file.replace('dist/', '')));
  const run = (...args: string[]): ReturnType<typeof spawnSync> =>
    spawnSync(...plainNodeCommand(join(image, 'cli.cjs'), ...args), { encoding: 'utf8' });
  const demo = run('demo');
  t.equal(demo.status, 2);
  t.equal(demo.stdout, '');
  t.match(demo.stderr, /^ado-git-identity: the demo is in the npm package [^\n]*: npx ado-git-identity demo\n$/);
  for (const command of ['webhook', 'sidecar', 'inject', 'uninject', 'certs', 'demo']) {
    t.equal(run(command, '--help').status, 0, command);
  }
  t.end();
});

void t.test('the npm package has every bundle, the licence and the notices', (t) => {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  t.strictSame(
    files.map(({ path }) => path).sort(),
    [
      'LICENSE',
      'README.md',
      'package.json',
      'dist/THIRD-PARTY-NOTICES',
      ...bundles.map(({ name }) => `dist/${name}.cjs`),
    ].sort(),
  );
  t.end();
});

void t.test('each package in a bundle is named in the notices, with the text of its licence', (t) => {
  const sections = readDist('THIRD-PARTY-NOTICES')
    .split(`\n${'-'.repeat(80)}\n\n`)
    .slice(1);
  const directories = bundles
    .flatMap(({ files }) => files)
    .flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  t.ok(
    directories.some((one) => one.endsWith('node_modules/fastify')),
    'packages are seen',
  );
  for (const directory of new Set(directories)) {
    const { name, version, license } = JSON.parse(readFileSync(join(ROOT, directory, 'package.json'), 'utf8')) as {
      readonly name: string;
      readonly version: string;
      readonly license: string;
    };
    const section = sections.find((one) => one.startsWith(`${name} ${version} (${license})\n\n`)) ?? '';
    t.match(section, /permission|redistribut|licensed under|public domain/i, directory);
    t.ok(section.length > 500, `${directory}: the whole text`);
  }
  t.end();
});

void t.test('a package in a bundle has a licence that is accepted', (t) => {
  const packages = [
    ['MIT', true],
    ['(BSD-3-Clause OR GPL-2.0)', true],
    ['GPL-3.0-only', false],
    ['MIT AND GPL-3.0-only', false],
    ['(MIT AND CC-BY-NC-4.0)', false],
    ['SEE LICENSE IN LICENSE', false],
    ['', false],
    [{ type: 'MIT' }, false],
    [undefined, false],
  ].map(([license, accepted], index) => ({ name: `package-${index}`, version: '1.0.0', license, accepted }));
  const code = `import { checkLicences } from './build/checks.mjs';
    console.log(JSON.stringify(checkLicences(${JSON.stringify(packages)})));`;
  const { stdout, stderr } = spawnSync(...plainNodeCommand('--input-type=module', '--eval', code), {
    cwd: ROOT,
    encoding: 'utf8',
  });
  t.equal(stderr, '');
  const problems = JSON.parse(stdout) as string[];
  t.strictSame(
    problems.map((problem) => problem.split(' ')[0]),
    packages.filter(({ accepted }) => accepted === false).map(({ name }) => name),
  );
  t.end();
});

void t.test('stack frames of the webhook name its functions', (t) => {
  const code = `const { runWebhook } = require(${JSON.stringify(join(ROOT, 'dist/webhook.cjs'))});
    let error;
    const given = { writeError: () => undefined, get env() { throw (error = new Error('provoked')); } };
    runWebhook(given).then(() => console.log(error.stack));`;
  const { stdout, stderr } = spawnSync(...plainNodeCommand('--eval', code), { encoding: 'utf8' });
  t.match(stdout, /^Error: provoked\n.*\n +at runWebhook /, stderr);
  t.end();
});

void t.test('the webhook bundle starts only as a program', (t) => {
  const file = join(ROOT, 'dist/webhook.cjs');
  t.ok(existsSync(file));
  const loaded = spawnSync(
    ...plainNodeCommand('--eval', `console.log(typeof require(${JSON.stringify(file)}).runWebhook)`),
    {
      encoding: 'utf8',
    },
  );
  t.match(loaded, { status: 0, stdout: 'function\n', stderr: '' });
  const started = spawnSync(...plainNodeCommand(file), { encoding: 'utf8', env: { PATH: process.env['PATH'] } });
  t.match(started, { status: 2, stderr: /^webhook: ADO_GIT_TLS_CERT_FILE is missing/ });
  t.end();
});

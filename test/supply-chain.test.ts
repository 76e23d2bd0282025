/** What the product is built from: base images, packages and actions, each named so that nobody else can exchange it. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { plainNodeCommand } from './support/node-command.js';

const ROOT = join(import.meta.dirname, '..');
const SHA512 = `sha512-${'A'.repeat(86)}==`;

void t.test('each base image is a build argument of its own, and named in the image', (t) => {
  const lines = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').split('\n');
  const first = lines.findIndex((line) => line.startsWith('FROM '));
  const stages = lines.filter((line) => /^\s*FROM\s/i.test(line));
  t.strictSame(stages, [
    'FROM ${BUILD_BASE} AS build',
    'FROM ${RUNTIME_BASE} AS runtime',
    'FROM ${BUILD_BASE} AS rootfs',
    'FROM scratch',
  ]);
  const defaults = lines.slice(0, first).filter((line) => line.startsWith('ARG '));
  t.equal(defaults.length, 2);
  for (const line of defaults) t.match(line, /^ARG [A-Z]+_BASE=[a-z0-9./-]+:[\w.-]+(?:@sha256:[0-9a-f]{64})?$/);
  // Another stage is the only source of files from an image.
  for (const line of lines.filter((one) => one.includes('--from=')))
    t.match(line, /^COPY --from=(?:build|runtime|rootfs) /);
  t.ok(lines.some((line) => line.includes('org.opencontainers.image.base.name="${RUNTIME_BASE}"')));
  t.end();
});

void t.test('no install script of a package runs while the image is built', (t) => {
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  const installs = dockerfile.match(/^RUN .*\bnpm (?:ci|i|install|add)\b.*$/gm) ?? [];
  t.equal(installs.length, 1);
  for (const line of installs) t.match(line, /^RUN npm ci --ignore-scripts /);
  t.end();
});

void t.test('each action of a workflow is named by commit', (t) => {
  const folder = join(ROOT, '.github/workflows');
  const uses = readdirSync(folder).flatMap(
    (file) => readFileSync(join(folder, file), 'utf8').match(/^.*\buses:.*$/gm) ?? [],
  );
  t.ok(uses.length > 0);
  for (const line of uses) t.match(line, /uses: [\w-]+\/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  t.end();
});

interface Lockfile {
  lockfileVersion: number;
  packages: Record<string, Record<string, unknown>>;
}

interface Project {
  readonly manifest: Record<string, unknown>;
  readonly lockfile: Lockfile;
}

/** A project with one package, `a`, which has one of its own. */
function createProject(): Project {
  const devDependencies = { a: '^1.0.0' };
  const inner = 'node_modules/a/node_modules/@scope/b';
  return {
    manifest: { name: 'project', devDependencies },
    lockfile: {
      lockfileVersion: 3,
      packages: {
        '': { name: 'project', devDependencies: { ...devDependencies } },
        'node_modules/a': { version: '1.2.3', integrity: SHA512 },
        [inner]: {
          version: '2.0.0-rc.1',
          integrity: SHA512,
          resolved: 'https://registry.npmjs.org/@scope/b/-/b-2.0.0-rc.1.tgz',
        },
      },
    },
  };
}

/** Changes of that project that would install something else, and what the refusal says. */
const REFUSED: readonly (readonly [said: RegExp, change: (project: Project, a: Record<string, unknown>) => void])[] = [
  [/node_modules\/a has the integrity undefined/, (_, a) => delete a['integrity']],
  [/one sha512 is needed/, (_, a) => (a['integrity'] = 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=')],
  [/one sha512 is needed/, (_, a) => (a['integrity'] = `${SHA512} ${SHA512}`)],
  [/not at https:\/\/registry\.npmjs\.org\//, (_, a) => (a['resolved'] = 'https://example.test/a/-/a-1.2.3.tgz')],
  [/under its own name/, (_, a) => (a['resolved'] = 'https://registry.npmjs.org/b/-/b-1.2.3.tgz')],
  [/under its own name/, (_, a) => (a['resolved'] = 'https://registry.npmjs.org/a/-/a-1.2.4.tgz')],
  [/under its own name/, (_, a) => (a['resolved'] = 'http://registry.npmjs.org/a/-/a-1.2.3.tgz')],
  [/under its own name/, (_, a) => (a['resolved'] = 'git+ssh://git@github.com/a/a.git#0123456')],
  [/under its own name/, (_, a) => (a['resolved'] = 'file:../a.tgz')],
  [/one version is needed/, (_, a) => (a['version'] = 'file:../a')],
  [/one version is needed/, (_, a) => delete a['version']],
  [/from the package b, under another name/, (_, a) => (a['name'] = 'b')],
  [/is a link/, (_, a) => (a['link'] = true)],
  [/no hash of its own/, (_, a) => (a['inBundle'] = true)],
  [/has an install script/, (_, a) => (a['hasInstallScript'] = true)],
  [/packages\/b is not a package/, ({ lockfile }, a) => (lockfile.packages['packages/b'] = a)],
  [
    /another integrity/,
    ({ lockfile }, a) => {
      lockfile.packages['node_modules/c/node_modules/a'] = { ...a, integrity: `sha512-${'B'.repeat(86)}==` };
    },
  ],
  [/there are no packages/, ({ lockfile }) => (lockfile.packages = { '': lockfile.packages[''] ?? {} })],
  [/lockfileVersion is 1/, ({ lockfile }) => (lockfile.lockfileVersion = 1)],
  [/devDependencies differ/, ({ manifest }) => (manifest['devDependencies'] = { a: '^2.0.0' })],
  [/dependencies differ/, ({ manifest }) => (manifest['dependencies'] = { b: '^1.0.0' })],
  ...['npm:b@1', 'github:a/a', 'a/a', 'file:../a', 'https://example.test/a.tgz', 'workspace:*'].map(
    (range): (typeof REFUSED)[number] => [
      /devDependencies has a from/,
      ({ manifest, lockfile }) => {
        manifest['devDependencies'] = { a: range };
        lockfile.packages[''] = { devDependencies: { a: range } };
      },
    ],
  ),
];

function checkLockfile(cwd: string): { readonly status: number | null; readonly stderr: string } {
  return spawnSync(...plainNodeCommand(join(ROOT, 'build/check-lockfile.mjs')), { cwd, encoding: 'utf8' });
}

void t.test('each package is a version of the npm registry, with its hash', (t) => {
  const { status, stderr } = checkLockfile(ROOT);
  t.equal(stderr, '');
  t.equal(status, 0);
  t.end();
});

void t.test('a lockfile that would install something else is refused', (t) => {
  const directory = t.testdir();
  const check = ({ manifest, lockfile }: Project): ReturnType<typeof checkLockfile> => {
    writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(directory, 'package-lock.json'), JSON.stringify(lockfile));
    return checkLockfile(directory);
  };
  t.match(check(createProject()), { status: 0, stderr: '' });
  for (const [said, change] of REFUSED) {
    const project = createProject();
    change(project, project.lockfile.packages['node_modules/a'] ?? {});
    const { status, stderr } = check(project);
    t.equal(status, 1, String(said));
    t.match(stderr, said);
  }
  t.end();
});

/** Holds the code to the import rule: arrows point down, rooms on one floor never import each other, only a main.ts imports every room. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import t from 'tap';

const SOURCE = join(import.meta.dirname, '../src');

/** What every room may import: names, errors, time, how values are read, and the types of Kubernetes objects. */
const BASE = /^(?:[a-z-]+|values\/[a-z-]+|kubernetes\/types)\.ts$/;

/** The rooms, lowest floor first, with the rooms that each may import beside itself and the base. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  values: [],
  kubernetes: [],
  git: [],
  entra: [],
  inject: ['git'],
  certificates: ['kubernetes'],
  sidecar: ['entra', 'git'],
  webhook: ['inject', 'certificates', 'kubernetes'],
  emulators: ['inject', 'certificates'],
  demo: ['emulators', 'inject', 'certificates'],
  cli: ['inject', 'certificates', 'kubernetes', 'webhook', 'sidecar', 'demo'],
};

/** Rooms that are entered by their `index.ts` only. */
const ROOMS_WITH_A_DOOR = ['inject', 'emulators'];

/** Rooms all of whose files must be pure, but for those named. */
const PURE_ROOMS: Readonly<Record<string, readonly string[]>> = {
  inject: [],
  git: [],
  entra: ['entra/exchange.ts'],
};

/** A file says of itself that it is pure: no input or output, clock, timers, randomness or process. */
const PURE_TAG = /^(?:#!.*\n)?\/\*\*(?:(?!\*\/)[\s\S])*\bPURE\b/;
const IMPURE_MODULE = /^node:(?:fs|http|https|http2|net|tls|dns|child_process|timers|worker_threads|process|os)\b/;
const IMPURE =
  /\bprocess\.|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandom(?:Bytes|UUID|Int)\b|\bset(?:Timeout|Interval|Immediate)\(|\bfetch\(|\bperformance\b/;

/** Base files that pure files must not load: they use timers and signals. */
const IMPURE_BASE = ['sleep.ts', 'signals.ts'];

/** npm packages that may be loaded at run time, by file; `import type` is free. */
const PACKAGES: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^certificates\/authority\.ts$/, ['node-forge']],
  [/^webhook\//, ['fastify', 'prom-client']],
  [/^kubernetes\/kubeconfig\.ts$/, ['@kubernetes/client-node']],
  [/^(?:emulators|demo\/chapters)\//, ['jose']],
  [/^cli\//, ['yaml']],
];

/** No room may outgrow the others: the share of all lines. */
const MAX_SHARE = 0.2;

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

function readSource(file: string): string {
  return readFileSync(join(SOURCE, file), 'utf8');
}

function listImports(file: string): Import[] {
  const pattern = /(?:^|\n)\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/g;
  return [...readSource(file).matchAll(pattern)].map((match) => {
    const target = match[2] ?? match[3] ?? '';
    const path = target.startsWith('.') ? normalize(join(dirname(file), target.replace(/\.js$/, '.ts'))) : target;
    return { file, target: path, typeOnly: match[1] !== undefined };
  });
}

const imports = files.flatMap(listImports);
const ownImports = imports.filter(({ target }) => target.endsWith('.ts'));
const pureFiles = new Set(files.filter((file) => PURE_TAG.test(readSource(file))));
const roomOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');

void t.test('the walk sees the code', (t) => {
  t.ok(imports.some(({ file, target }) => file === 'inject/index.ts' && target === 'inject/reasons.ts'));
  t.ok(
    imports.some(({ file, target }) => file === 'cli/main.ts' && target === 'cli/inject.ts'),
    'dynamic imports too',
  );
  t.ok(pureFiles.has('inject/inject-pod.ts'), 'the tag of a pure file');
  t.notOk(pureFiles.has('entra/exchange.ts'));
  t.strictSame(
    ownImports.filter(({ target }) => !files.includes(relative('.', target))),
    [],
  );
  t.end();
});

void t.test('the rules name what exists', (t) => {
  const rooms = new Set(files.map(roomOf).filter((room) => room !== ''));
  t.strictSame([...rooms].sort(), Object.keys(ROOMS).sort(), 'each room has its rule');
  for (const [pattern] of PACKAGES)
    t.ok(
      files.some((file) => pattern.test(file)),
      String(pattern),
    );
  for (const file of Object.values(PURE_ROOMS).flat()) t.ok(files.includes(file), file);
  t.end();
});

void t.test('arrows point down and rooms on one floor never import each other', (t) => {
  const floors = Object.keys(ROOMS);
  for (const [room, neighbours] of Object.entries(ROOMS)) {
    for (const neighbour of neighbours) {
      t.ok(floors.indexOf(neighbour) < floors.indexOf(room), `${neighbour} is below ${room}`);
    }
  }
  for (const { file, target } of ownImports) {
    if (file.endsWith('/main.ts') || BASE.test(target)) continue;
    const allowed = BASE.test(file) ? [] : [roomOf(file), ...(ROOMS[roomOf(file)] ?? [])];
    if (!allowed.includes(roomOf(target))) t.fail(`${file} must not import ${target}`);
  }
  t.end();
});

void t.test('no import cycles', (t) => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) return void t.fail([...path.slice(path.indexOf(file)), file].join(' -> '));
    if (done.has(file)) return;
    for (const { target } of ownImports.filter((one) => one.file === file)) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  t.equal(done.size, files.length);
  t.end();
});

void t.test('no room outgrows the others', (t) => {
  const lines = new Map<string, number>();
  for (const file of files) {
    lines.set(roomOf(file), (lines.get(roomOf(file)) ?? 0) + readSource(file).split('\n').length);
  }
  const total = [...lines.values()].reduce((sum, count) => sum + count, 0);
  for (const [room, count] of lines) t.ok(count <= total * MAX_SHARE, `${room}: ${count} of ${total} lines`);
  t.end();
});

void t.test('rooms with a door are entered by it', (t) => {
  for (const room of ROOMS_WITH_A_DOOR) {
    const entries = ownImports.filter(({ file, target }) => roomOf(file) !== room && roomOf(target) === room);
    t.strictSame(
      entries.filter(({ target }) => target !== `${room}/index.ts`).map(({ file, target }) => `${file} -> ${target}`),
      [],
    );
    t.not(entries.length, 0, room);
  }
  t.end();
});

void t.test('pure files import pure files, and touch nothing outside', (t) => {
  for (const [room, exceptions] of Object.entries(PURE_ROOMS)) {
    for (const file of files.filter((one) => roomOf(one) === room && !exceptions.includes(one))) {
      t.ok(pureFiles.has(file), `${file} says that it is PURE`);
    }
  }
  for (const { file, target } of imports.filter((one) => pureFiles.has(one.file) && !one.typeOnly)) {
    if (IMPURE_MODULE.test(target) || IMPURE_BASE.includes(target))
      t.fail(`${file} is pure and must not import ${target}`);
    if (target.endsWith('.ts') && !BASE.test(target) && !pureFiles.has(target)) {
      t.fail(`${file} is pure and must not import ${target}`);
    }
  }
  for (const file of pureFiles) {
    const match = IMPURE.exec(withoutComments(readSource(file)));
    if (match !== null) t.fail(`${file} is pure and must not use ${match[0]}`);
  }
  t.end();
});

void t.test('packages are loaded where they are the right tool', (t) => {
  for (const { file, target } of imports.filter(
    (one) => !one.typeOnly && !one.target.endsWith('.ts') && !one.target.startsWith('node:'),
  )) {
    const allowed = PACKAGES.filter(([pattern]) => pattern.test(file)).flatMap(([, names]) => names);
    if (!allowed.includes(target)) t.fail(`${file} must not load the package ${target}`);
  }
  t.end();
});

void t.test('only names.ts spells names', (t) => {
  const spelled =
    /ado-git\.workload\.identity|azure\.workload\.identity\/[a-z]|\bADO_GIT_[A-Z]|\bado-git-(?:token|config|extra-ca)\b|\/etc\/ado-git|\/var\/run\/ado-git/;
  for (const file of files.filter((one) => one !== 'names.ts')) {
    const match = spelled.exec(withoutComments(readSource(file)));
    if (match !== null) t.fail(`${file} spells ${match[0]}`);
  }
  t.match(readSource('names.ts'), spelled);
  t.end();
});

void t.test('only a main.ts reads the environment', (t) => {
  for (const file of files.filter((one) => !one.endsWith('/main.ts'))) {
    if (/\bprocess\.env\b/.test(withoutComments(readSource(file)))) t.fail(`${file} reads process.env`);
  }
  t.end();
});

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '');
}

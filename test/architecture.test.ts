/** Holds the code to the import rule: arrows point down, side folders never look at each other, only a main.ts knows everyone. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import t from 'tap';

const SOURCE = join(import.meta.dirname, '../src');

/** Files without input or output, clock, timers, randomness or process. */
const PURE = [/^inject\//, /^git\//, /^entra\/(?!exchange\.ts)/, /^gateway\/policy\.ts/, /^webhook\/review\.ts/];
const BASE = /^[a-z-]+\.ts$/;

/** The folders that each folder may look into beside itself and the base. `demo` plays the outside world. */
const NEIGHBOURS: Readonly<Record<string, readonly string[]>> = {
  inject: ['git'],
  git: [],
  entra: [],
  sidecar: ['entra', 'git', 'gateway'],
  gateway: ['entra', 'git'],
  webhook: ['inject', 'certificates'],
  certificates: [],
  demo: ['inject', 'certificates'],
  cli: ['inject', 'certificates', 'webhook', 'sidecar', 'demo', 'git', 'entra'],
};

/** npm packages that may be loaded at run time, by folder or file; `import type` is free. */
const PACKAGES: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^certificates\/authority\.ts$/, ['node-forge']],
  [/^gateway\/certificate\.ts$/, ['node-forge']],
  [/^certificates\//, ['@kubernetes/client-node']],
  [/^webhook\//, ['fastify', 'prom-client', '@kubernetes/client-node']],
  [/^demo\//, ['jose']],
  [/^cli\//, ['yaml', '@kubernetes/client-node']],
];

const IMPURE =
  /\bprocess\.|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bset(?:Timeout|Interval|Immediate)\(|\bfetch\(/;

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
const isPure = (file: string): boolean => PURE.some((pattern) => pattern.test(file));
const folderOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');

void t.test('the walk sees the code', (t) => {
  t.ok(files.length > 40);
  t.ok(imports.some(({ file, target }) => file === 'inject/index.ts' && target === 'inject/decide.ts'));
  t.ok(
    imports.some(({ file, target }) => file === 'cli/main.ts' && target === 'cli/demo.ts'),
    'dynamic imports too',
  );
  t.strictSame(
    imports.filter(({ target }) => target.endsWith('.ts') && !files.includes(relative('.', target))),
    [],
  );
  t.end();
});

void t.test('arrows point down and side folders never look at each other', (t) => {
  for (const { file, target } of imports.filter((one) => one.target.endsWith('.ts'))) {
    if (folderOf(file) === folderOf(target) || BASE.test(target) || file.endsWith('/main.ts')) continue;
    const allowed = BASE.test(file) ? [] : (NEIGHBOURS[folderOf(file)] ?? []);
    if (!allowed.includes(folderOf(target))) t.fail(`${file} must not import ${target}`);
  }
  t.strictSame(
    [...new Set(files.map(folderOf))].filter((name) => name !== '' && !(name in NEIGHBOURS)),
    [],
    'each folder has its rule',
  );
  t.end();
});

void t.test('injection has one door', (t) => {
  const others = imports.filter(({ file, target }) => folderOf(file) !== 'inject' && folderOf(target) === 'inject');
  t.strictSame(
    others.filter(({ target }) => target !== 'inject/index.ts').map(({ file }) => file),
    [],
  );
  t.ok(others.length > 5);
  t.end();
});

void t.test('pure files import pure files, and touch nothing outside', (t) => {
  for (const { file, target, typeOnly } of imports.filter((one) => isPure(one.file) && !one.typeOnly)) {
    if (!typeOnly && !(BASE.test(target) || isPure(target))) t.fail(`${file} is pure and must not import ${target}`);
  }
  for (const file of files.filter(isPure)) {
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

void t.test('the environment is read in a main.ts alone', (t) => {
  for (const file of files.filter((one) => !one.endsWith('/main.ts'))) {
    if (/\bprocess\.env\b/.test(withoutComments(readSource(file)))) t.fail(`${file} reads process.env`);
  }
  t.end();
});

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '');
}

/** The documentation names everything that users rely on, and names nothing that does not exist. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { DENIED_REASONS, LASTING_REASONS, PASSING_REASONS, SKIP_REASONS, WARNING_CODES } from '../src/inject/index.js';
import { ANNOTATION, AZURE_ANNOTATION, GROUP, SIDECAR_ENV, WEBHOOK_ENV } from '../src/names.js';
import { formatMetrics } from '../src/sidecar/metrics.js';
import { epochMs } from '../src/time.js';
import { createMetrics } from '../src/webhook/metrics.js';

const ROOT = join(import.meta.dirname, '..');
const CHART = 'charts/ado-git-identity';
const NOT_OURS = /^(?:node_modules|dist|\.git|\.tap|coverage)(?:\/|$)/;

/** All files of the repository that are ours, as paths from its root. */
const files = readdirSync(ROOT, { withFileTypes: true })
  .filter(({ name }) => !NOT_OURS.test(name))
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(ROOT, entry.name), { recursive: true, encoding: 'utf8' }).map((name) => join(entry.name, name))
      : [entry.name],
  );
const pages = files.filter((file) => file.endsWith('.md'));
const sources = files.filter((file) => file.startsWith('src/') && file.endsWith('.ts'));

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

function findAll(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[0]);
}

/** The lines of a page from one heading to the next. */
function readSection(page: string, heading: string): string {
  return read(page).split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
}

void t.test('every reason and warning is explained', (t) => {
  const page = read('docs/reasons.md');
  for (const code of [...SKIP_REASONS, ...LASTING_REASONS, ...DENIED_REASONS, ...PASSING_REASONS, ...WARNING_CODES]) {
    t.ok(page.includes(`\`${code}\``), code);
  }
  t.end();
});

void t.test('every annotation is explained', (t) => {
  const page = read('docs/annotations.md').replaceAll('…/', `${GROUP}/`);
  for (const name of [...Object.values(ANNOTATION), ...Object.values(AZURE_ANNOTATION)])
    t.ok(page.includes(`\`${name}\``), name);
  t.end();
});

void t.test('every environment variable is explained, and every explained one exists', (t) => {
  const page = read('docs/settings.md');
  const ofKubernetes = new Set<string>([WEBHOOK_ENV.serviceHost, WEBHOOK_ENV.servicePort]);
  const names = new Set<string>([...Object.values(WEBHOOK_ENV), ...Object.values(SIDECAR_ENV)]);
  for (const name of names) if (!ofKubernetes.has(name)) t.ok(page.includes(`\`${name}\``), name);
  const places = [...pages, ...sources, ...files.filter((file) => file.startsWith(`${CHART}/templates/`))];
  for (const file of places.filter((place) => /\.(?:md|ts|tpl|yaml)$/.test(place))) {
    for (const name of findAll(read(file), /\bADO_GIT_[A-Z]\w*\b/g)) if (!names.has(name)) t.fail(`${file}: ${name}`);
  }
  t.end();
});

void t.test('variables in help texts exist', (t) => {
  // Terminals agree on this one: https://no-color.org
  const names = new Set<string>([...Object.values(WEBHOOK_ENV), ...Object.values(SIDECAR_ENV), 'NO_COLOR']);
  const texts = sources
    .flatMap((file) => findAll(read(file), /`(Usage: [\s\S]*?)`;/g))
    // What is inserted is a name already.
    .map((text) => text.replace(/\$\{[^}]*\}/g, ''));
  t.ok(texts.length > 5, 'the help texts are found');
  for (const text of texts) {
    for (const name of findAll(text, /\b(?:[A-Z]+(?:_[A-Z]+)+|KUBECONFIG)\b/g)) t.ok(names.has(name), name);
  }
  t.end();
});

void t.test('every chart value is explained', (t) => {
  const page = read(`${CHART}/README.md`);
  const check = (value: unknown, path: string): void => {
    if (page.includes(`\`${path}\``)) return;
    const inner = typeof value === 'object' && value !== null ? Object.entries(value) : [];
    if (inner.length === 0) t.fail(path);
    for (const [key, one] of inner) check(one, `${path}.${key}`);
  };
  const values = parse(read(`${CHART}/values.yaml`)) as Readonly<Record<string, unknown>>;
  for (const [key, value] of Object.entries(values)) check(value, key);
  t.end();
});

void t.test('every metric is explained, and every named one exists', (t) => {
  const metrics = createMetrics({
    now: () => epochMs(0),
    countServiceAccounts: () => 0,
    countInFlight: () => 0,
    isReady: () => true,
  });
  metrics.observeManagedCertificates();
  const ofWebhook = metrics.registry.getMetricsAsArray().map(({ name }) => name);
  const sidecar = formatMetrics({
    describe: () => ({ expiresAt: undefined, lastExchangeAt: undefined }),
    countExchanges: () => ({ successes: 0, failures: new Map() }),
    isReady: () => false,
  });
  const exported = [...ofWebhook, ...findAll(sidecar, /^# TYPE (\w+) /gm)];
  const explained = findAll(read('docs/operate.md'), /`(ado_git_[a-z_]+)/g);
  t.strictSame([...new Set(explained)].sort(), exported.sort());
  const others = [...pages, `${CHART}/files/alerts.yaml`, `${CHART}/dashboards/ado-git-identity.json`];
  for (const file of others) {
    for (const name of findAll(read(file), /\bado_git_(?:identity|sidecar)_[a-z_]+\b/g)) {
      if (!exported.includes(name.replace(/_bucket$/, ''))) t.fail(`${file}: ${name}`);
    }
  }
  t.end();
});

void t.test('log messages that are explained exist', (t) => {
  const code = sources.map(read).join('\n');
  const messages = readSection('docs/operate.md', 'Logs')
    .split('\n')
    .filter((line) => line.startsWith('- '))
    .flatMap((line) => findAll(line.split(':')[0] ?? '', /`([^`]+)`/g));
  t.ok(messages.includes('the webhook is ready'), 'the messages are found');
  for (const message of messages) t.ok(code.includes(`'${message}'`), message);
  t.end();
});

void t.test('every decision is in the index', (t) => {
  const decisions = readdirSync(join(ROOT, 'docs/decisions')).filter((file) => /^\d{4}-/.test(file));
  const entries = findAll(read('docs/decisions/README.md'), /^(\d+\. \[.*\]\(.*\))$/gm);
  t.strictSame(
    entries.map((entry) => entry.replace(/\[.*\]\((.*)\)/, '$1')),
    decisions.map((file) => `${Number(file.slice(0, 4))}. ${file}`),
  );
  t.end();
});

void t.test('each row of what who can do names tests that exist', (t) => {
  const [, , ...rows] = readSection('SECURITY.md', "Who can do what, and what they can't")
    .split('\n')
    .filter((line) => line.startsWith('|'));
  t.ok(rows.length > 10, 'the rows are found');
  for (const row of rows) {
    const [, who = '', , , heldBy = ''] = row.split('|').map((cell) => cell.trim());
    const tests = findAll(heldBy, /\]\(([^)]*)\)/g);
    t.ok(tests.length > 0, `${who}: names a test`);
    for (const file of tests) t.ok(/^test\/.*(?:\.test|-cases)\.ts$/.test(file) && files.includes(file), file);
  }
  t.end();
});

void t.test('links lead somewhere', (t) => {
  const slugs = (file: string): string[] =>
    findAll(read(file), /^#+ (.*)$/gm).map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    );
  for (const page of pages) {
    for (const [, target = '', anchor] of read(page).matchAll(/\]\(([^)#:]*)(?:#([^)]*))?\)/g)) {
      const file = target === '' ? page : normalize(join(dirname(page), target));
      if (!isThere(file)) t.fail(`${page}: ${target}`);
      else if (anchor !== undefined) t.ok(slugs(file).includes(anchor), `${page}: ${target}#${anchor}`);
    }
  }
  t.end();
});

void t.test('paths in pages and comments exist', (t) => {
  /** `src/…/name.ts`, `room/name.ts`, `name.ts`; an asterisk matches anything. */
  const path =
    /(?<![\w/.:-])((?:[\w.*-]+\/)*[\w.*-]+\.(?:ts|mjs|md|tpl)|(?:src|test|docs|charts|bench|\.github)\/[\w./*-]*[\w*])/g;
  let count = 0;
  const check = (file: string, text: string): void => {
    for (const name of findAll(text, path)) {
      count += 1;
      const places = ['', 'src/', 'test/', `${CHART}/`, `${dirname(file)}/`].map((folder) => folder + name);
      if (!places.some(isThere) && (name.includes('/') || !isThere(`**/${name}`))) t.fail(`${file}: ${name}`);
    }
  };
  for (const page of pages) check(page, findAll(read(page), /`([^`\n]+)`/g).join('\n'));
  for (const file of sources) check(file, findAll(read(file), /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/ .*$/gm).join('\n'));
  t.ok(count > 20, 'paths are found');
  t.end();
});

void t.test('scripts in pages exist', (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
  for (const page of pages) {
    for (const name of findAll(read(page), /\bnpm run (?:--silent )?([\w:]+)/g))
      t.ok(name in scripts, `${page}: ${name}`);
  }
  t.end();
});

void t.test('the chart is installed and upgraded by the same command everywhere', (t) => {
  const notes = read(`${CHART}/templates/NOTES.txt`)
    .replaceAll(/\{\{ \.Release\.\w+ \}\}/g, 'ado-git-identity')
    .replaceAll(' CHART ', ` ${CHART} `);
  const find = (text: string, verb: string): string[] =>
    findAll(text.replaceAll(/\\\n\s*/g, ''), new RegExp(`^ *(helm ${verb} .*)$`, 'gm'));
  const pagesWith = (verb: string): string[] => pages.filter((page) => find(read(page), verb).length > 0);
  const [install = ''] = find(read('README.md'), 'install');
  t.match(install, `--namespace ado-git-identity --create-namespace --set image.repository=`);
  t.strictSame(pagesWith('install').sort(), ['README.md', `${CHART}/README.md`, 'docs/operate.md']);
  for (const command of pages.flatMap((page) => find(read(page), 'install'))) {
    t.ok(`${command} `.startsWith(`${install} `), command);
  }
  const upgrade = `helm upgrade ado-git-identity ${CHART} --namespace ado-git-identity --reuse-values --set`;
  const upgrades = [notes, ...pages.map(read)].flatMap((text) => find(text, 'upgrade'));
  t.ok(upgrades.length > 3, 'the commands are found');
  for (const command of upgrades) t.ok(command.startsWith(upgrade), command);
  // One that is shortened can't be compared.
  for (const text of [notes, ...pages.map(read)]) t.notMatch(text, /helm (?:install|upgrade) …/);
  t.end();
});

/** Whether a file or folder of that name is ours; an asterisk matches anything. */
function isThere(name: string): boolean {
  const pattern = name
    .replace(/\/$/, '')
    .split(/(\*\*\/|\*)/)
    .map((part) => ({ '**/': '(?:.*/)?', '*': '[^/]*' })[part] ?? part.replaceAll('.', '\\.'))
    .join('');
  const expression = new RegExp(`^${pattern}(?:/|$)`);
  return files.some((file) => expression.test(file));
}

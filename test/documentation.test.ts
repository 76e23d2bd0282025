/** The documentation names all that users rely on. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { DENIED_REASONS, LASTING_REASONS, PASSING_REASONS, SKIP_REASONS, WARNING_CODES } from '../src/inject/index.js';
import { ANNOTATION, AZURE_ANNOTATION, GROUP, SIDECAR_ENV, WEBHOOK_ENV } from '../src/names.js';

const ROOT = join(import.meta.dirname, '..');

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
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

void t.test('every setting is explained', (t) => {
  const page = read('docs/settings.md');
  const ofKubernetes = new Set<string>([WEBHOOK_ENV.serviceHost, WEBHOOK_ENV.servicePort]);
  for (const name of [...Object.values(WEBHOOK_ENV), ...Object.values(SIDECAR_ENV)]) {
    if (!ofKubernetes.has(name)) t.ok(page.includes(`\`${name}\``), name);
  }
  t.end();
});

void t.test('links lead somewhere', (t) => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.md'))
      .map((file) => join('docs', file)),
  ];
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      t.ok(existsSync(join(ROOT, dirname(page), target)), `${page}: ${target}`);
    }
  }
  t.end();
});

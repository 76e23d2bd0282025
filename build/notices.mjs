// THIRD-PARTY-NOTICES: the packages in the bundles with their licences, as the licences ask for.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const LICENCE_FILE = /^(?:(?:un)?licen[cs]e|copying|notice)(?:[.-].*)?$/i;

/** The package that a file belongs to, or `undefined` for a file of ours. */
export function packageOf(file) {
  const [directory, name] = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file) ?? [];
  return directory === undefined ? undefined : { directory, name };
}

/** The packages of these files, by name and version, each once: name, version, licence and the licence's text. */
export function listPackages(files) {
  const directories = new Set(files.flatMap((file) => packageOf(file)?.directory ?? []));
  const packages = new Map();
  for (const directory of directories) {
    const { name, version, license, author } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    packages.set(`${name} ${version}`, { name, version, license, text: readLicence(directory, license, author) });
  }
  return [...packages.values()].sort((a, b) => `${a.name} ${a.version}`.localeCompare(`${b.name} ${b.version}`));
}

/** The whole file. */
export function writeNotices(packages) {
  const head = `ado-git-identity contains the packages below, under the licences that follow each of them.\n`;
  const sections = packages.map(({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}\n`);
  return [head, ...sections].join(`\n${'-'.repeat(80)}\n\n`);
}

function readLicence(directory, license, author) {
  const names = readdirSync(directory).filter((name) => LICENCE_FILE.test(name));
  if (names.length > 0) return names.map((name) => readFileSync(join(directory, name), 'utf8').trim()).join('\n\n');
  const holder = typeof author === 'string' ? author : author?.name;
  if (license === 'MIT' && holder !== undefined) return `Copyright (c) ${holder}\n\n${MIT}`;
  throw new Error(`${directory} has no licence file; add its licence to build/notices.mjs`);
}

/** For packages that name the licence and leave out its text. https://spdx.org/licenses/MIT.html */
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

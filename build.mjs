// Builds the programs into dist/, checks what they contain, and writes the licences of the packages in them.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { bundle, BUNDLES } from './build/bundles.mjs';
import { checkBundle, checkLicences } from './build/checks.mjs';
import { listPackages, writeNotices } from './build/notices.mjs';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
const built = await Promise.all(Object.entries(BUNDLES).map(([name, options]) => bundle(name, options, version)));
const packages = listPackages(built.flatMap(({ files }) => files));
const problems = [...built.flatMap(checkBundle), ...checkLicences(packages)];
if (problems.length > 0) throw new Error(problems.join('\n'));
writeFileSync('dist/THIRD-PARTY-NOTICES', writeNotices(packages));
// For the tests only: which source files are in which bundle.
writeFileSync('dist/contents.json', JSON.stringify(built, null, 1));

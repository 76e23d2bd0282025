// Checks package.json and package-lock.json of the working directory before anything is installed by them, so it loads no
// package: each package comes from the npm registry, and nothing but the content that its hash names can be installed.
// `npm ci` then verifies the hashes.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

/** Packages that have an install script. All work without: the image is built with `--ignore-scripts`. */
const WITH_INSTALL_SCRIPT = ['esbuild'];
const REGISTRY = 'https://registry.npmjs.org/';
const KINDS = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];
const NAME = /^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/i;
const VERSION = /^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$/;
const SHA512 = /^sha512-[A-Za-z0-9+/]{86}==$/;

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** A range of versions has neither; URLs, git repositories, files, links and aliases (`npm:`) have one. */
function checkWanted(kind) {
  return Object.entries(manifest[kind] ?? {})
    .filter(([, range]) => /[:/]/.test(range))
    .map(([name, range]) => `${kind} has ${name} from ${range}; only versions of the npm registry are accepted`);
}

function isTarballOf(resolved, name, version) {
  return resolved === `${REGISTRY}${name}/-/${name.replace(/^@[^/]+\//, '')}-${version}.tgz`;
}

/** @param path such as `node_modules/a/node_modules/@b/c`; npm installs that name from the registry if nothing says otherwise. */
function checkPackage(path, entry) {
  const { version, resolved, integrity, name: alias, link, inBundle, hasInstallScript } = entry;
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const problems = [];
  if (!path.startsWith('node_modules/') || !NAME.test(name)) problems.push('is not a package of the npm registry');
  if (link || inBundle) problems.push('is a link, or part of another package: it has no hash of its own');
  if (alias !== undefined && alias !== name)
    problems.push(`is installed from the package ${alias}, under another name`);
  if (!VERSION.test(version)) problems.push(`has the version ${JSON.stringify(version)}; one version is needed`);
  if (!SHA512.test(integrity)) problems.push(`has the integrity ${JSON.stringify(integrity)}; one sha512 is needed`);
  // Left out where npm's omit-lockfile-registry-resolved is set: npm then asks its registry for name and version.
  if (resolved !== undefined && !isTarballOf(resolved, name, version))
    problems.push(`is resolved at ${JSON.stringify(resolved)}, not at ${REGISTRY} under its own name`);
  if (hasInstallScript && !WITH_INSTALL_SCRIPT.includes(name))
    problems.push('has an install script: check that it works without, and add it to build/check-lockfile.mjs');
  return problems;
}

/** One version of a package has one hash, however often it is installed. */
function checkHashes(packages) {
  const hashes = new Map();
  return packages.flatMap(([path, { version, integrity }]) => {
    const key = `${path.slice(path.lastIndexOf('node_modules/'))} ${version}`;
    const first = hashes.get(key) ?? integrity;
    hashes.set(key, first);
    return first === integrity ? [] : [`${path} has another integrity than the same version elsewhere`];
  });
}

const manifest = readJson('package.json');
const { lockfileVersion, packages: { '': root = {}, ...others } = {} } = readJson('package-lock.json');
const packages = Object.entries(others);
const problems = [
  ...(lockfileVersion === 3 ? [] : [`lockfileVersion is ${lockfileVersion}; 3 is needed`]),
  ...(packages.length > 0 ? [] : ['there are no packages']),
  ...KINDS.filter((kind) => !isDeepStrictEqual(manifest[kind] ?? {}, root[kind] ?? {})).map(
    (kind) => `${kind} differ from those of package.json: run npm install`,
  ),
  ...KINDS.flatMap(checkWanted),
  ...packages.flatMap(([path, entry]) => checkPackage(path, entry).map((problem) => `${path} ${problem}`)),
  ...checkHashes(packages),
];
for (const problem of problems) console.error(`package-lock.json: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

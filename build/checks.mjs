// What the build holds each bundle to.
import { BUNDLES } from './bundles.mjs';
import { packageOf } from './notices.mjs';

/** Licences (SPDX) that ask for no more than the notices, which image and npm package have. */
const ACCEPTED_LICENCES = ['MIT', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'Unlicense'];

/** Sentences about packages whose licence is missing or not accepted. Of `(A OR B)`, one is enough. */
export function checkLicences(packages) {
  const isAccepted = (license) =>
    typeof license === 'string' &&
    license
      .replace(/^\((.*)\)$/, '$1')
      .split(' OR ')
      .some((one) => ACCEPTED_LICENCES.includes(one));
  return packages
    .filter(({ license }) => !isAccepted(license))
    .map(({ name, version, license }) => {
      const found = license === undefined ? 'names no licence' : `has the licence ${JSON.stringify(license)}`;
      return `${name} ${version} ${found}; build/checks.mjs accepts ${ACCEPTED_LICENCES.join(', ')}`;
    });
}

/** Sentences about what is wrong with a bundle. */
export function checkBundle({ name, bytes, files }) {
  const { limitBytes = Infinity, packages = true, without = [], inImage } = BUNDLES[name];
  const found = [...new Set(files.flatMap((file) => packageOf(file)?.name ?? []))];
  const forbidden = packages ? found.filter((one) => without.includes(one)) : found;
  const development = files.filter((file) => /^src\/(?:emulators|demo)\//.test(file));
  const problems = [];
  if (bytes >= limitBytes) problems.push(`has ${bytes} bytes; the limit is ${limitBytes}`);
  if (forbidden.length > 0) problems.push(`must not contain the packages ${forbidden.join(', ')}`);
  if (inImage && development.length > 0)
    problems.push(`is in the image and must not contain ${development.join(', ')}`);
  return problems.map((problem) => `dist/${name}.cjs ${problem}`);
}

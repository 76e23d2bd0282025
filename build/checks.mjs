// What the build holds each bundle to.
import { BUNDLES } from './bundles.mjs';
import { packageOf } from './notices.mjs';

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

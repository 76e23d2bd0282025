// The bundles, CommonJS files: they start faster and smaller than modules, and the image needs no node_modules.
import { resolve } from 'node:path';
import { build } from 'esbuild';

/**
 * Packages, and the webhook, have bundles of their own: a program loads them when it comes to the import, and `--help` waits
 * for none. The sidecar loads nothing: its size is its start time and memory, beside every pod.
 *
 * - `entry`: source file; the bundle has its exports.
 * - `starts`: source file of a program that runs when node is given the bundle, and not when another bundle loads it.
 * - `loads`: bundles whose entry is loaded, not included, where this one imports it.
 * - `inImage`: whether the Dockerfile copies it; the npm package has all.
 * - `limitBytes`, `packages: false`, `without`: what build/checks.mjs holds it to.
 */
export const BUNDLES = {
  cli: {
    entry: 'src/cli/main.ts',
    loads: ['webhook', 'inject', 'kubeconfig', 'authority', 'demo'],
    inImage: true,
    limitBytes: 80_000,
    packages: false,
  },
  webhook: {
    entry: 'src/webhook/run.ts',
    starts: 'src/webhook/main.ts',
    loads: ['kubeconfig'],
    inImage: true,
    limitBytes: 1_500_000,
    without: ['@kubernetes/client-node'],
  },
  sidecar: { entry: 'src/sidecar/main.ts', inImage: true, limitBytes: 44_000, packages: false, keepNames: false },
  inject: { entry: 'src/cli/inject.ts', inImage: true },
  kubeconfig: { entry: 'src/kubernetes/kubeconfig.ts', inImage: true },
  authority: { entry: 'src/certificates/authority.ts', inImage: true },
  demo: { entry: 'src/demo/main.ts', loads: ['authority'], inImage: false },
};

/**
 * Writes `dist/NAME.cjs`.
 * @returns its size, and the source files and files of packages that are in it.
 */
export async function bundle(name, { entry, starts, loads = [], keepNames = true }, version) {
  const outfile = `dist/${name}.cjs`;
  const { metafile } = await build({
    ...(starts === undefined ? { entryPoints: [entry] } : { stdin: writeLibraryThatStarts(entry, starts) }),
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    minify: true,
    // The names of functions stay readable in stack frames, for 5 % of the size.
    keepNames,
    // build/notices.mjs writes the licences.
    legalComments: 'none',
    // node's own is deprecated, and says so on standard error; client-node reaches it through a dependency.
    alias: { punycode: 'punycode/punycode.js' },
    define: { PRODUCT_VERSION: JSON.stringify(version) },
    plugins: [loadOtherBundles(loads)],
    // `import()` of another bundle becomes `require`, which is faster.
    supported: { 'dynamic-import': false },
    metafile: true,
    logLevel: 'warning',
  });
  const { bytes, inputs } = metafile.outputs[outfile];
  const files = Object.keys(inputs).filter((file) => inputs[file].bytesInOutput > 0 && file !== '<stdin>');
  return { name, bytes, files };
}

function writeLibraryThatStarts(entry, starts) {
  const contents = `export * from './${entry}'; if (require.main === module) require('./${starts}');`;
  return { contents, resolveDir: process.cwd() };
}

/** An import of another bundle's entry becomes `require('./NAME.cjs')`. */
function loadOtherBundles(names) {
  const bundleOf = new Map(names.map((name) => [resolve(BUNDLES[name].entry), `./${name}.cjs`]));
  return {
    name: 'load-other-bundles',
    setup({ onResolve }) {
      onResolve({ filter: /^\..*\.js$/ }, ({ path, resolveDir }) => {
        const file = bundleOf.get(resolve(resolveDir, path.replace(/\.js$/, '.ts')));
        return file === undefined ? undefined : { path: file, external: true };
      });
    },
  };
}

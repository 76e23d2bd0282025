// Bundles each program into one CommonJS file: it starts faster and smaller than modules, and the image needs no node_modules.
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));

/** The sidecar runs beside every pod: it carries no package, and its size is its start-up time and memory. */
const SIDECAR_LIMIT_BYTES = 40_000;

const common = {
  // node's own is deprecated, and says so on standard error; client-node reaches it through a dependency.
  alias: { punycode: 'punycode/punycode.js' },
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  metafile: true,
  logLevel: 'warning',
  legalComments: 'none',
  define: { PRODUCT_VERSION: JSON.stringify(version) },
};

const sidecar = await build({
  ...common,
  entryPoints: { sidecar: 'src/sidecar/main.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  minify: true,
});
const packages = Object.keys(sidecar.metafile.inputs).filter((file) => file.includes('node_modules'));
if (packages.length > 0) throw new Error(`dist/sidecar.cjs holds packages: ${packages.join(', ')}`);
const { bytes } = sidecar.metafile.outputs['dist/sidecar.cjs'];
if (bytes >= SIDECAR_LIMIT_BYTES)
  throw new Error(`dist/sidecar.cjs has ${bytes} bytes; the limit is ${SIDECAR_LIMIT_BYTES}`);

await build({
  ...common,
  entryPoints: { webhook: 'src/webhook/main.ts', cli: 'src/cli/main.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  minify: true,
});

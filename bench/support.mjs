// What the benchmarks share: modules from their TypeScript source, and the memory of a process.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/**
 * Everything that the modules export, in one object.
 * @param paths from the project's folder, such as `src/names.ts`.
 */
export async function loadModules(paths) {
  const directory = mkdtempSync(join(tmpdir(), 'ado-git-bench-modules-'));
  const outfile = join(directory, 'modules.mjs');
  try {
    await build({
      stdin: {
        contents: paths.map((path) => `export * from './${path}';`).join('\n'),
        resolveDir: process.cwd(),
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile,
      logLevel: 'error',
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Anonymous memory of a process, as the kernel counts it: MB, of 10^6 bytes. */
export function readAnonymousMemory(pid) {
  const [, kilobytes] = /^Anonymous:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return (Number(kilobytes) * 1024) / 1e6;
}

/** Milliseconds of CPU time that a process has used, all threads, user and system: in steps of 10 (proc(5), stat, 14 and 15). */
export function readCpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const ticksPerSecond = 100;
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

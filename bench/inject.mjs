// How the CPU time of `inject` grows with the file: prints the ratios of n, 2n and 4n, each the median of several runs.
import { loadModules } from './support.mjs';

const { runInject } = await loadModules(['src/cli/inject.ts']);

const RUNS = 5;
const WORDS = ['-f', '-', '--client-id', '11111111-2222-3333-4444-555555555555', '--tenant-id', 'contoso.example'];

const pod = (index) =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: p${index}\n  labels:\n    azure.workload.identity/use: "true"\nspec:\n  containers:\n  - name: app\n    image: app:1\n`;
const config = (index) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c${index}\ndata:\n  run.sh: |\n${'    echo "some words of a script"\n'.repeat(30)}`;
const repeat = (count, write) => Array.from({ length: count }, (_, index) => write(index));
const item = (text) => `- ${text.trimEnd().replaceAll('\n', '\n  ')}\n`;

/** Files of about the given number of kilobytes. */
const FILES = {
  'documents without pods': (size) => repeat(size, config).join('---\n'),
  'one definition': (size) =>
    `apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec:\n${repeat(size * 8, (index) => `  field${index}:\n    description: |-\n      what the field is for\n      and when it is set\n    type: string\n`).join('')}`,
  'one list of pods': (size) => `apiVersion: v1\nkind: List\nitems:\n${repeat(size, pod).map(item).join('')}`,
  'documents with pods': (size) => repeat(size, pod).join('---\n'),
  anchors: (size) => repeat(size * 10, (index) => `k${index}: &a${index} {x: 1}\nl${index}: *a${index}\n`).join(''),
  'long blank and comment lines': (size) => `${'# a comment\n\n'.repeat(size * 80)}a: 1\n`,
  JSON: (size) =>
    `${repeat(size, (index) => JSON.stringify({ kind: 'ConfigMap', data: { k: 'v'.repeat(900), index } })).join('\n')}\n`,
};

async function measure(text) {
  const times = [];
  for (let run = 0; run < RUNS; run++) {
    const start = process.cpuUsage();
    await runInject(WORDS, { stdout: () => {}, stderr: () => {}, stdin: () => Promise.resolve(Buffer.from(text)) });
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1000);
  }
  return times.sort((a, b) => a - b)[Math.floor(RUNS / 2)];
}

for (const [name, write] of Object.entries(FILES)) {
  await measure(write(50));
  const [once, twice, fourTimes] = [await measure(write(100)), await measure(write(200)), await measure(write(400))];
  const kilobytes = Math.round(write(400).length / 1024);
  console.log(
    `${name.padEnd(30)} 2n/n ${(twice / once).toFixed(1)}  4n/n ${(fourTimes / once).toFixed(1)}  4n: ${kilobytes} KB, ${Math.round(fourTimes)} ms of CPU`,
  );
}

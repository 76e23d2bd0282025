/** `inject --values` does what the webhook of the chart would do, and `--strict` what a check in a pipeline needs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readChartValues } from '../../src/cli/chart-values.js';
import { runInject } from '../../src/cli/inject.js';
import { VERSION } from '../../src/version.js';
import { readWebhookConfig } from '../../src/webhook/config.js';
import { callCommand } from '../support/call-command.js';
import { at, find, options, render } from '../support/chart.js';

const directory = mkdtempSync(join(tmpdir(), 'ado-git-values-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const DIGEST = `sha256:${'ab'.repeat(32)}`;
const IDENTITY = 'azure: {clientId: 11111111-2222-3333-4444-555555555555, tenantId: contoso.example}\n';

function save(text: string): string {
  const file = join(directory, 'values.yaml');
  writeFileSync(file, text);
  return file;
}

/** The defaults of the webhook that helm would start with these values. */
function renderDefaults(values: string): unknown {
  const env = at(find(render(`--values=${save(values)}`), 'Deployment'), 'spec.template.spec.containers.0.env');
  const variables = Object.fromEntries(
    (env as { name: string; value?: string }[]).map(({ name, value }) => [name, value ?? 'a-pod']),
  );
  const environment = { ...variables, KUBERNETES_SERVICE_HOST: 'x', KUBERNETES_SERVICE_PORT: '1' };
  const { defaults } = readWebhookConfig(environment);
  // The code has the chart's version once it is built.
  return { ...defaults, image: defaults.image.replace(/:\d+\.\d+\.\d+$/, `:${VERSION}`) };
}

void t.test('a values file gives the settings of the webhook that helm would start with it', options, (t) => {
  for (const values of [
    '',
    '# nothing\n',
    IDENTITY,
    'image: {repository: registry.example/a, tag: "1.2"}\n',
    `image: {repository: registry.example/a, tag: x}\nsidecar: {image: {digest: "${DIGEST}"}}\n`,
    `image: {repository: registry.example/a, digest: "${DIGEST}"}\nsidecar: {image: {tag: "y", pullPolicy: Always}}\n`,
    'sidecar: {image: {repository: registry.example/b}, pullSecrets: [one, two], port: 0x2328, runAsUser: null}\n',
    'sidecar: {runAsUser: 0, resources: {requests: {cpu: 1m}, limits: {cpu: null, memory: 48Mi}}}\n',
    'sidecar: {resources: {requests: null}, nodeFlags: [--lite-mode]}\n',
    'sidecar: {proxy: {httpsProxy: "http://proxy:3128", noProxy: ".example"}, extraCa: {configMapName: ca}}\n',
    'azure: {authorityHost: "https://login.microsoftonline.us"}\n',
  ]) {
    t.strictSame(readChartValues(values, 'values.yaml').defaults, renderDefaults(values), values);
  }
  t.end();
});

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: team
  labels: {azure.workload.identity/use: "true"}
spec:
  containers:
  - name: app
    image: app:1
`;

function withNamespace(labels: string): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team\n  labels: {${labels}}\n---\n${POD}`;
}

void t.test('a values file decides which namespaces are served', async (t) => {
  const inject = async (webhook: string, file: string): Promise<string> =>
    (await callCommand(runInject, ['--values', save(`${IDENTITY}webhook: ${webhook}\n`)], file)).messages;
  t.match(
    await inject('{excludedNamespaces: [team]}', POD),
    'left alone (namespace-excluded): Pod team/web: namespace',
  );
  t.match(await inject('{allNamespaces: true}', withNamespace('')), 'injected: Pod team/web');
  t.match(await inject('{allNamespaces: true, excludedNamespaces: [team]}', POD), '(namespace-excluded)');
  t.match(await inject('{}', withNamespace('')), 'has no label ado-git.workload.identity/inject: enabled');
  t.match(
    await inject('{}', withNamespace('ado-git.workload.identity/inject: Enabled')),
    'has the label ado-git.workload.identity/inject: "Enabled"; write ado-git.workload.identity/inject: enabled',
  );
  const selectors: readonly (readonly [string, string, boolean])[] = [
    ['{matchLabels: {git: "on"}}', 'git: "on"', true],
    ['{matchLabels: {git: "on"}}', 'git: "off"', false],
    ['{matchLabels: {git: "on"}}', 'ado-git.workload.identity/inject: enabled', false],
    ['{matchExpressions: [{key: stage, operator: In, values: [a, b]}]}', 'stage: b', true],
    ['{matchExpressions: [{key: stage, operator: In, values: [a, b]}]}', 'stage: c', false],
    ['{matchExpressions: [{key: stage, operator: NotIn, values: [a]}]}', 'stage: a', false],
    ['{matchExpressions: [{key: stage, operator: NotIn, values: [a]}]}', '', true],
    ['{matchExpressions: [{key: stage, operator: Exists}]}', '', false],
    ['{matchExpressions: [{key: stage, operator: Exists}]}', 'stage: ""', true],
    ['{matchExpressions: [{key: stage, operator: DoesNotExist}]}', 'stage: x', false],
    ['{matchLabels: {a: b}, matchExpressions: [{key: stage, operator: Exists}]}', 'a: b', false],
  ];
  for (const [selector, labels, isServed] of selectors) {
    const messages = await inject(`{namespaceSelector: ${selector}}`, withNamespace(labels));
    const wanted = isServed
      ? 'injected: Pod team/web'
      : '(namespace-not-enabled): Pod team/web: namespace team does not';
    t.match(messages, wanted, `${selector} with ${labels}`);
  }
});

void t.test('flags take precedence over a values file', async (t) => {
  const words = ['--values', save(`${IDENTITY}image: {repository: a.example/x}\n`), '--image', 'b.example/y:2'];
  const { output } = await callCommand(runInject, [...words, '--tenant-id', 'fabrikam.example'], POD);
  t.match(output, 'image: b.example/y:2');
  t.match(output, 'value: fabrikam.example');
  t.match(output, 'value: 11111111-2222-3333-4444-555555555555');
});

void t.test('a values file that is wrong is refused with the name of each value', async (t) => {
  const refuse = (text: string, wanted: { code?: string; message: string | RegExp }): Promise<unknown> =>
    t.rejects(callCommand(runInject, ['--values', save(text)], POD), wanted, text);
  await refuse('azure: {clientId: me, tenantId: "?"}\nsidecar: {port: 80}\n', {
    code: 'configuration',
    message: /azure\.clientId "me" is not a client id[^]*azure\.tenantId "\?"[^]*sidecar\.port "80" is not a port/,
  });
  await refuse('webhook: {excludedNamespaces: team}\n', {
    message: 'webhook.excludedNamespaces is not a list of texts.',
  });
  await refuse('webhook: {namespaceSelector: {matchExpressions: [{key: a, operator: Near}]}}\n', {
    message: /webhook\.namespaceSelector\.matchExpressions\[0\] needs a key, and an operator: In, NotIn/,
  });
  await refuse('- a\n', { code: 'document', message: /values\.yaml is not a mapping/ });
  await refuse('a: [\n', { code: 'document', message: /values\.yaml, line 2: / });
  await t.rejects(callCommand(runInject, ['--values', '/nowhere.yaml'], POD), {
    code: 'document',
    message: "/nowhere.yaml can't be read",
  });
});

void t.test('--strict ends with 1 for what is left alone, and for warnings', async (t) => {
  const words = ['--client-id', '11111111-2222-3333-4444-555555555555', '--tenant-id', 'contoso.example'];
  const cases: Readonly<Record<string, readonly [string, number]>> = {
    injected: [POD, 0],
    'without the label': [POD.replace('use: "true"', 'other: x'), 1],
    'in another case': [POD.replace('"true"', '"True"'), 1],
    'with a warning': [POD.replace('labels:', 'annotations: {ado-git.workload.identity/foo: x}\n  labels:'), 1],
    'without a pod': ['a: 1\n', 0],
  };
  for (const [name, [file, code]] of Object.entries(cases)) {
    t.equal((await callCommand(runInject, words, file)).code, 0, `${name}: 0 without it`);
    t.equal((await callCommand(runInject, [...words, '--strict'], file)).code, code, name);
  }
  const { messages } = await callCommand(runInject, words, POD.replace('"true"', '"True"'));
  t.match(messages, 'has the label azure.workload.identity/use: "True"; write azure.workload.identity/use: "true"');
});

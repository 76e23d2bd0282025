/** The program as a person calls it: real processes, their output and exit codes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { runInject, runUninject } from '../src/cli/inject.js';
import { callCommand, type CommandResult } from './support/call-command.js';
import { plainNodeCommand } from './support/node-command.js';

const PROGRAM = join(import.meta.dirname, '../dist/cli.cjs');
const IDENTITY = ['--client-id', '11111111-2222-3333-4444-555555555555', '--tenant-id', 'contoso.example'];

function run(words: readonly string[], input = ''): CommandResult {
  const { status, stdout, stderr } = spawnSync(...plainNodeCommand(PROGRAM, ...words), {
    input,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  });
  return { code: status, output: stdout, messages: stderr };
}

function parse(text: string): unknown {
  return parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS() as unknown);
}

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {azure.workload.identity/use: "true"} # asks
spec:
  terminationGracePeriodSeconds: 0644 # as people wrote it
  containers:
  - name: app
    image: app:1
    tty: yes
`;

void t.test('help, version and exit codes', (t) => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
    version: string;
  };
  t.strictSame(run(['--version']), { code: 0, output: `ado-git-identity ${version}\n`, messages: '' });
  for (const command of ['webhook', 'sidecar', 'inject', 'uninject', 'certs', 'demo']) {
    const { code, output } = run([command, '--help']);
    t.equal(code, 0);
    t.match(output, `Usage: ado-git-identity ${command}`);
    t.match(run(['--help']).output, `  ${command} `);
    t.equal(run([command, '--version']).code, 0);
    t.match(run([command, '--nonsense']), { code: 2, output: '', messages: /^[^\n]*nonsense[^\n]*\n$/ }, command);
  }
  t.match(run([]), { code: 2, messages: /^Usage: / });
  t.match(run(['injekt']), { code: 2, messages: '"injekt" is not a command' });
  t.match(run(['inject']), { code: 2, messages: '-f FILE is missing' });
  t.match(run(['inject', '-f', '/nowhere.yaml']), { code: 1, messages: "/nowhere.yaml can't be read" });
  t.match(run(['inject', '-f', '-', '--client-id', 'me', '--authority-host', 'http://x'], POD), {
    code: 2,
    messages:
      /^ado-git-identity: --client-id "me" is not a client id; [^\n]+\.\nado-git-identity: --authority-host "http:\/\/x" is not an https origin; [^\n]+\.\n$/,
  });
  t.match(run(['inject', '-f', '-', '-n', 'Not A Name!'], POD), {
    code: 2,
    output: '',
    messages: /^ado-git-identity: --namespace "Not A Name!" is not the name of a Kubernetes object; [^\n]+\.\n$/,
  });
  const withPassword = run(['inject', '-f', '-', '--authority-host', 'https://:secret@x'], POD);
  t.match(withPassword, { code: 2, messages: '--authority-host is not an https origin' });
  t.notMatch(withPassword.messages, 'secret');
  t.end();
});

void t.test('of a file that can not be read, document and line are named, and nothing is written', (t) => {
  const { code, output, messages } = run(['inject', '-f', '-'], `${POD}---\na: 1\nb: [1\n`);
  t.equal(code, 1);
  t.equal(output, '');
  t.match(messages, /^ado-git-identity: standard input: document 2, line 1[45]: [^\n]+\n$/);
  t.end();
});

void t.test('a denied pod ends with 1, and the file is still written', (t) => {
  const file = POD.replace('labels:', 'annotations: {ado-git.workload.identity/port: "1"}\n  labels:');
  const { code, output, messages } = run(['inject', '-f', '-', ...IDENTITY], file);
  t.equal(code, 1);
  t.equal(output, file);
  t.match(
    messages,
    /^denied \(invalid-annotation\): Pod web: annotation ado-git.workload.identity\/port "1" is not a port/,
  );
  t.end();
});

/** Files whose injection must read like the original where nothing was added, and equal it after `uninject`. */
const FILES: Readonly<Record<string, { readonly text: string; readonly keeps: readonly string[] }>> = {
  'spelling and comments': {
    text: POD,
    keeps: ['0644 # as people wrote it', 'tty: yes', '{azure.workload.identity/use: "true"'],
  },
  'carriage returns': {
    text: POD.replaceAll('\n', '\r\n'),
    keeps: ['tty: yes\r\n', 'value: include.path\r\n'],
  },
  'documents around it': {
    text: `%YAML 1.1\n---\n# alone\n--- # more\n{a:   1}\n---\n${POD}...\n---\n---\nkind:   ConfigMap\ndata: {x:    y}\n`,
    keeps: ['# alone\n', '--- # more\n{a:   1}\n', 'kind:   ConfigMap\ndata: {x:    y}\n'],
  },
  'anchors and merge keys': {
    text: POD.replace('- name: app', '- &base\n    name: app').replace(
      /$/,
      '  - <<: *base # again\n    name: second\n',
    ),
    keeps: ['tty: yes', '0644 # as people wrote it', 'name: second'],
  },
  list: {
    text: `apiVersion: v1\nkind: List\nitems:\n- ${POD.trimEnd().replaceAll('\n', '\n  ')}\n`,
    keeps: ['# asks'],
  },
  json: {
    text: `${JSON.stringify(parse(POD), null, 4).slice(1, -1).trim()}\n`,
    keeps: ['"terminationGracePeriodSeconds": 420'],
  },
  'a flow mapping with a comment': {
    text: '{metadata: {name: x, labels: {azure.workload.identity/use: "true"}}, # note\n spec: {containers: [{name: a, tty: yes}]}}\n',
    keeps: ['# note', 'tty: yes'],
  },
  'texts that look like something else': {
    text: POD.replace('    tty: yes', '    args: ["yes", "0644", "1e3", "null", "2020-01-01", 12:30:45]'),
    keeps: ['["yes", "0644", "1e3", "null", "2020-01-01", 12:30:45]'],
  },
};

for (const [name, { text, keeps }] of Object.entries(FILES)) {
  void t.test(`inject and uninject: ${name}`, async (t) => {
    const injected = await callCommand(runInject, [...IDENTITY], text);
    t.equal(injected.code, 0);
    t.match(injected.messages, /^injected: /m);
    t.notMatch(injected.messages, 'could not be edited in place');
    for (const kept of keeps) t.ok(injected.output.includes(kept), `${JSON.stringify(kept)} is kept`);
    t.match(JSON.stringify(parse(injected.output)), 'ado-git-identity');
    t.equal((await callCommand(runInject, [...IDENTITY], injected.output)).output, injected.output, 'twice is once');
    const back = await callCommand(runUninject, [], injected.output);
    t.equal(back.code, 0);
    t.strictSame(parse(back.output), parse(text));
  });
}

void t.test('both containers of an alias are configured once', async (t) => {
  const text = POD.replace('    tty: yes', '    env: &env [{name: A, value: "1"}]\n  - name: second\n    env: *env');
  const { output } = await callCommand(runInject, [...IDENTITY], text);
  const [pod] = parse(output) as [{ spec: { containers: { env: { name: string }[] }[] } }];
  const names = pod.spec.containers.map(({ env }) => env.map(({ name }) => name));
  const wanted = ['A', 'GIT_CONFIG_KEY_0', 'GIT_CONFIG_VALUE_0', 'GIT_CONFIG_COUNT'];
  t.strictSame(names, [wanted, wanted]);
});

void t.test('what the file says of namespace and service account counts', async (t) => {
  const namespace = (label: string): string =>
    `apiVersion: v1\nkind: Namespace\nmetadata: {name: default${label}}\n---\n`;
  const account =
    'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, annotations: {azure.workload.identity/client-id: 99999999-2222-3333-4444-555555555555}}\n---\n';
  t.match(
    (await callCommand(runInject, [...IDENTITY], namespace('') + POD)).messages,
    'left alone (namespace-not-enabled)',
  );
  const enabled = namespace(', labels: {ado-git.workload.identity/inject: enabled}');
  t.match(
    (await callCommand(runInject, [...IDENTITY], enabled + account + POD)).output,
    /ADO_GIT_CLIENT_ID\s+value: 99999999-2222/,
  );
  t.match(
    (await callCommand(runInject, ['-n', 'kube-system', ...IDENTITY], POD)).messages,
    'left alone (namespace-excluded)',
  );
  t.match(await callCommand(runInject, [], POD), {
    code: 0,
    output: POD,
    messages: 'use --client-id and --tenant-id',
  });
});

void t.test('certs writes what a webhook can start with', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ado-git-certs-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  t.match(run(['certs', '--directory', directory]), {
    code: 0,
    output: 'ca.crt, tls.crt and tls.key are valid for 90 days',
  });
  t.match(readFileSync(join(directory, 'tls.key'), 'utf8'), 'PRIVATE KEY');
  writeFileSync(join(directory, 'file'), '');
  t.match(run(['certs', '--directory', join(directory, 'file/below')]), { code: 1, messages: "can't be written" });
  t.end();
});

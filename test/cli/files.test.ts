/** `inject` and `uninject` on files of every kind that kubectl reads: bytes in, bytes out. */
import fc from 'fast-check';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { runInject, runUninject } from '../../src/cli/inject.js';
import { callCommand } from '../support/call-command.js';

const IDENTITY = ['--client-id', '11111111-2222-3333-4444-555555555555', '--tenant-id', 'contoso.example'];
const inject = (input: string | Uint8Array, words = IDENTITY): ReturnType<typeof callCommand> =>
  callCommand(runInject, words, input);

function parse(text: string): unknown[] {
  return parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS({ maxAliasCount: -1 }) as unknown);
}

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {azure.workload.identity/use: "true"}
spec:
  containers:
  - name: app
    image: app:1
`;
const CONFIG = 'kind:   ConfigMap\napiVersion: v1\ndata: {x:    y}\n';
const isInjected = (text: string): boolean => /name: ado-git-identity$/m.test(text.replaceAll('\r', ''));

void t.test('encodings', async (t) => {
  const utf16 = (text: string): Buffer => Buffer.from(`\uFEFF${text}`, 'utf16le');
  for (const [name, encode] of Object.entries({
    'UTF-16 LE': utf16,
    'UTF-16 BE': (text: string) => utf16(text).swap16(),
  })) {
    const { bytes, messages, code } = await inject(encode(POD.replace('web', 'wéb😀')));
    t.equal(code, 0);
    t.ok(isInjected(bytes.toString()), `${name} is read`);
    t.match(bytes.toString(), 'name: wéb😀\n');
    t.match(messages, 'note: standard input is UTF-16; the result is UTF-8\n');
    t.ok((await inject(encode(CONFIG))).bytes.equals(encode(CONFIG)), `${name} without an edit comes out unchanged`);
  }
  const marked = await inject(`\uFEFF---\n${POD}`);
  t.match(marked.output, /^\uFEFF---\napiVersion/, 'the byte order mark is kept');
  t.ok(isInjected(marked.output));
});

void t.test('what is in no encoding that kubectl reads is refused by name', async (t) => {
  const files: Readonly<Record<string, readonly [Uint8Array, string]>> = {
    'UTF-16 without mark': [
      Buffer.from(POD, 'utf16le'),
      'standard input is UTF-16 without a byte order mark; save it as',
    ],
    'UTF-32': [Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]), 'is UTF-32; save it as UTF-8'],
    'UTF-32 BE': [Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 0x61]), 'is UTF-32'],
    gzip: [Buffer.from([0x1f, 0x8b, 8, 0]), 'is a gzip archive'],
    NUL: [Buffer.from('a: 1\nb: "\0"\n'), 'has a NUL byte in line 2'],
    'odd UTF-16': [Buffer.from([0xff, 0xfe, 0x61]), 'is UTF-16 with an odd number of bytes'],
    'half a pair': [Buffer.from('\uFEFFa: 1\n# \uD800\n', 'utf16le'), 'half of a surrogate pair in line 2'],
    'a stray byte in a value of an injected pod': [
      Buffer.from(POD.replace('app:1', 'caf\xe9 # \xe9'), 'latin1'),
      'document 1, line 9: a value has the byte 0xE9, which is not UTF-8',
    ],
  };
  for (const [name, [bytes, message]] of Object.entries(files)) {
    await t.rejects(inject(bytes), { code: 'document', message: new RegExp(message.replaceAll('.', '\\.')) }, name);
  }
});

void t.test('stray bytes come out as they were', async (t) => {
  const text = `# \xe9 \xf0\x9f\n${CONFIG.replace('y', '"\xff"')}---\n${POD.replace('spec:', 'spec: # caf\xe9 \xc3\xa9')}`;
  const { bytes, code } = await inject(Buffer.from(text, 'latin1'));
  t.equal(code, 0);
  const output = bytes.toString('latin1');
  t.ok(isInjected(output));
  t.ok(output.startsWith(`${text.split('---')[0]}---\n`));
  t.ok(output.includes('# caf\xe9 \xc3\xa9\n'));
  const back = await callCommand(runUninject, [], bytes);
  t.ok(back.bytes.toString('latin1').includes('# caf\xe9 \xc3\xa9\n'));
});

void t.test('a carriage return alone ends a line', async (t) => {
  const { output } = await inject(POD.replaceAll('\n', '\r'));
  t.ok(isInjected(output));
  t.match(parse(output), [{ spec: { containers: [{ image: 'app:1' }] } }]);
});

void t.test('JSON documents one after the other', async (t) => {
  const pod = JSON.stringify(parse(POD)[0]).replace('app:1', 'app:1.25');
  const config = '{"kind":"ConfigMap",\n\t"data": {"a": "}{\\"", "b": 1.50}}';
  const { output, messages } = await inject(`${config}\n${pod}${config}\n\n${pod}\n`);
  t.equal(messages.match(/^injected: Pod web: app$/gm)?.length, 2);
  t.ok(output.startsWith(`${config}\n{"apiVersion"`));
  t.equal(output.split(`}${config}\n\n{`).length, 2);
  t.equal((await inject(output)).output, output, 'twice is once');
  await t.rejects(inject(`${config}\n{"a": \n`), { message: /document 1/ });
});

const SERVICE_ACCOUNT = `apiVersion: v1
kind: ServiceAccount
metadata:
  name: git
  namespace: apps
  annotations:
    azure.workload.identity/client-id: 11111111-2222-3333-4444-555555555555
    azure.workload.identity/tenant-id: contoso.example
`;
const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: builder, namespace: apps}
spec:
  template:
    metadata: {labels: {azure.workload.identity/use: "true"}}
    spec:
      serviceAccountName: git
      containers: [{name: app, image: app}]
`;

function listItems(objects: readonly string[], indent: string): string {
  return objects.map((text) => `${indent}- ${text.trimEnd().replaceAll('\n', `\n${indent}  `)}\n`).join('');
}

const CONTAINERS: Readonly<Record<string, (objects: readonly string[]) => string>> = {
  'List in a List': (objects) =>
    `apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n${listItems(objects, '  ')}`,
  Template: (objects) =>
    `apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {name: all, namespace: openshift}\nobjects:\n${listItems(objects, '')}`,
  ManifestWork: (objects) =>
    `apiVersion: work.open-cluster-management.io/v1\nkind: ManifestWork\nmetadata: {name: all, namespace: cluster1}\nspec:\n  workload:\n    manifests:\n${listItems(objects, '    ')}`,
  Object: (objects) =>
    objects
      .map(
        (text) =>
          `apiVersion: kubernetes.crossplane.io/v1alpha2\nkind: Object\nmetadata: {name: one}\nspec:\n  forProvider:\n    manifest:\n      ${text.trimEnd().replaceAll('\n', '\n      ')}\n`,
      )
      .join('---\n'),
};

for (const [name, wrap] of Object.entries(CONTAINERS)) {
  void t.test(`objects inside objects: ${name}`, async (t) => {
    const { output, messages } = await inject(wrap([SERVICE_ACCOUNT, DEPLOYMENT]), []);
    t.equal(messages, 'injected: Deployment apps/builder: app\n');
    t.ok(isInjected(output));
    const excluded = await inject(wrap([SERVICE_ACCOUNT, DEPLOYMENT.replace('apps}', 'kube-system}')]), []);
    t.match(excluded.messages, /^left alone \(namespace-excluded\): Deployment kube-system\/builder: /);
    const unnamed = await inject(wrap([DEPLOYMENT.replace(', namespace: apps', '')]), ['-n', 'kube-system']);
    t.match(
      unnamed.messages,
      /^left alone \(namespace-excluded\): Deployment builder: /,
      'the outer namespace is not its own',
    );
  });
}

void t.test('a template that repeats kind: Pod belongs to the object around it', async (t) => {
  const text = `apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: f, namespace: apps}\nspec:\n  podTemplate:\n    ${POD.trimEnd().replaceAll('\n', '\n    ')}\n`;
  t.match((await inject(text)).messages, /^injected: FlinkDeployment apps\/f: app$/m);
});

void t.test('what only resembles a pod template is not one', async (t) => {
  const labels = 'metadata: {name: x, labels: {azure.workload.identity/use: "true"}}';
  const spec = 'spec: {containers: [{name: a}]}';
  const files = [
    `apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\n${labels}\n${spec}\n`,
    `apiVersion: monitoring.coreos.com/v1\nkind: Alertmanager\n${labels}\n${spec}\n`,
    `apiVersion: example.com/v1\nkind: Pod\n${labels}\n${spec}\n`,
    `apiVersion: kyverno.io/v1\nkind: ClusterPolicy\n${labels}\nspec: {rules: [{validate: {pattern: {${labels}, ${spec}}}}]}\n`,
    `apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n${labels}\nspec: {default: {${labels}, ${spec}}}\n`,
    '# nothing here\n',
    '',
  ];
  for (const text of files) {
    for (const command of [runInject, runUninject]) {
      t.strictSame(await callCommand(command, [], text), {
        code: 0,
        output: text,
        bytes: Buffer.from(text),
        messages: 'note: standard input has no pod template; it is written as it was\n',
      });
    }
  }
});

void t.test('comments below an empty list survive inject and uninject', async (t) => {
  const text = `# start
${POD}    env: # same line
    # - name: DEBUG
    #   value: "1"

    # of volumeMounts
    volumeMounts:
    # - name: cache
    #   mountPath: /cache
    ports:
      # - containerPort: 1
  # of initContainers
  initContainers: []
  # - name: init
  volumes: # volumes
  # - name: cached
  #   emptyDir: {}
# the end
`;
  for (const input of [text, text.replaceAll('\n', '\r\n')]) {
    const injected = await inject(input);
    const back = await callCommand(runUninject, [], injected.output);
    for (const { output, messages } of [injected, back]) {
      t.notMatch(messages, 'note:');
      for (const [comment] of text.matchAll(/#.*/g)) t.ok(output.includes(comment), comment);
    }
    t.strictSame(parse(back.output), parse(text));
  }
});

void t.test('an anchor may be used a thousand times', async (t) => {
  const list = `apiVersion: v1\nkind: List\nitems:\n- &c {kind: ConfigMap, data: {a: b}}\n${'- *c\n'.repeat(1000)}`;
  t.equal((await inject(list)).output, list);
  const pod = POD.replace('app:1\n', `app:1\n    args: [&a x${', *a'.repeat(1000)}]\n`);
  const { output } = await inject(pod);
  t.match(parse(output), [{ spec: { containers: [{ args: Array.from({ length: 1001 }, () => 'x') }] } }]);
  t.ok(isInjected(output));
});

void t.test('an anchor may be defined again', async (t) => {
  const { output, messages } = await inject(
    POD.replace('image: app:1', 'image: &a one\n    args: [*a, &a two, *a]\n    <<: {tty: yes}'),
  );
  t.notMatch(messages, 'note:');
  t.match(parse(output), [{ spec: { containers: [{ image: 'one', args: ['one', 'two', 'two'], tty: true }] } }]);
});

void t.test('a file that expands without end is refused', async (t) => {
  const names = 'abcdefghijklmnop'.split('');
  const lines = names.map(
    (name, index) =>
      `${name}: &${name} [${Array(10)
        .fill(index === 0 ? 'lol' : `*${names[index - 1]}`)
        .join(', ')}]\n`,
  );
  await t.rejects(inject(`${CONFIG}---\n${lines.join('')}`), {
    code: 'document',
    message:
      /document 2, line \d+: at \*[a-p], aliases add more than 1000000 values to the file; write out what they stand for$/,
  });
  await t.rejects(inject('a: &a [*a]\n'), { message: /line 1: alias \*a has no anchor &a before it/ });
  const deep = [
    `a: ${'['.repeat(50_000)}${']'.repeat(50_000)}`,
    `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`,
    `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
  ];
  for (const text of deep) await t.rejects(inject(text), { message: /document 1, line 1: it is nested too deeply$/ });
});

void t.test('a key that stands twice matters only where the document is edited', async (t) => {
  const twice = CONFIG.replace('{x:    y}', '{x: 1, x: 2}');
  t.ok((await inject(`${twice}---\n${POD}`)).output.startsWith(`${twice}---\n`));
  await t.rejects(inject(`${twice}---\n${POD}  hostNetwork: true\n  hostNetwork: false\n`), {
    message: /document 2, line 15: key "hostNetwork" stands twice/,
  });
  const json = JSON.stringify(parse(POD)[0]).replace('"spec":', '"kind":"Pod","spec":');
  await t.rejects(inject(json), { message: /document 1, line 1: key "kind" stands twice/ });
});

void t.test('files made of documents without an edit come out byte for byte', async () => {
  const comment = fc
    .uint8Array({ maxLength: 12 })
    .map((bytes) => Buffer.from(bytes.map((byte) => (byte < 32 || byte === 127 ? 46 : byte))));
  const document = fc.constantFrom(
    CONFIG,
    CONFIG.replaceAll('\n', '\r\n'),
    'a: &a {b: c}\nd: [*a, *a]\n',
    'data:\n  script: |\n    #!/bin/sh\n\n     --- echo\n  x: "1\n    2"\n',
    '{"kind": "List",\n "items": []}\n',
    POD.replace('"true"', '"false"'),
    POD.replace('kind: Pod', 'kind: Prometheus'),
    '',
    '\n \n',
  );
  const part = fc
    .tuple(comment, document)
    .map(([bytes, text]) => Buffer.concat([Buffer.from('# '), bytes, Buffer.from(`\n${text}`)]));
  const start = fc.constantFrom('---\n', '--- # again\r\n', '---  \n');
  const file = fc.tuple(fc.constantFrom('', '\uFEFF'), fc.array(fc.tuple(start, part), { maxLength: 6 }));
  await fc.assert(
    fc.asyncProperty(file, async ([mark, parts]) => {
      const input = Buffer.concat([
        Buffer.from(mark),
        ...parts.flatMap(([line, content]) => [Buffer.from(line), content]),
      ]);
      for (const command of [runInject, runUninject]) {
        const { bytes, code } = await callCommand(command, [], input);
        if (code !== 0 || !bytes.equals(input)) return false;
      }
      return true;
    }),
    { numRuns: 200 },
  );
});

/** Files whose size is `count`, each with a part that once took the square of it. */
const GROWING: Readonly<Record<string, (count: number) => string>> = {
  keys: (count) => `data:\n${Array.from({ length: count * 4 }, (_, index) => `  key${index}: value\n`).join('')}`,
  lines: (count) => `# a comment\n\n${'---\n# a comment\n\n'.repeat(count)}`,
  anchors: (count) =>
    Array.from({ length: count }, (_, index) => `k${index}: &a${index} v\nl${index}: *a${index}\n`).join(''),
  'blank lines before a directive': (count) => `%YAML 1.1\n${'\n'.repeat(count)}---\na: 1\n`,
};

for (const [name, write] of Object.entries(GROWING)) {
  void t.test(`twice the file takes less than three times the work: ${name}`, async (t) => {
    const measure = async (count: number): Promise<number> => {
      const text = write(count);
      const start = process.cpuUsage();
      const { output } = await inject(text);
      const { user, system } = process.cpuUsage(start);
      if (output !== text) t.fail('the file comes out unchanged');
      return user + system;
    };
    await measure(5000);
    const ratios: number[] = [];
    for (let round = 0; round < 5; round++) ratios.push((await measure(10_000)) / (await measure(5000)));
    const median = ratios.sort((a, b) => a - b)[2] ?? Infinity;
    t.ok(median < 3, `ratio ${median.toFixed(2)}`);
  });
}

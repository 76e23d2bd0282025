/** Whatever a pod's author forges of an earlier pass, the last pass of ours keeps what SECURITY.md promises. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ANNOTATION, SIDECAR_CONTAINER, STATE_DIRECTORY, TOKEN_DIRECTORY, VOLUME } from '../../src/names.js';
import { VERSION } from '../../src/version.js';
import { inject, type Item, patched, type PodJson, pods } from '../support/arbitrary-pods.js';

const STATUS = 'ado-git.workload.identity/status';
const OURS = [...Object.values(VOLUME), 'mine'];

const paths = fc.constantFrom(
  TOKEN_DIRECTORY,
  `${TOKEN_DIRECTORY}/`,
  '/run/secrets/ado-git',
  '/var/run/secrets/azure/../ado-git',
  STATE_DIRECTORY,
  '/var/run//ado-git/./x',
  '/',
  '/app',
  'app',
  '//app/.',
  '/mesh/../app',
  '/var/lock/../ado-git',
  '/nodejs/bin/node',
  '/etc/ld.so.preload',
  '/mesh',
  '/stolen',
);
const mount = fc.record(
  {
    name: fc.constantFrom(...OURS),
    mountPath: paths,
    readOnly: fc.boolean(),
    subPath: fc.constantFrom('', '..', 'x/..'),
    subPathExpr: fc.constantFrom('', '$(X)'),
    mountPropagation: fc.constantFrom('None', 'HostToContainer', 'Bidirectional'),
  },
  { requiredKeys: ['name', 'mountPath'] },
);
const mounts = fc.array(mount, { maxLength: 4 });
const program = fc.constantFrom<unknown>(
  { exec: { command: ['cat', `${TOKEN_DIRECTORY}/token`] } },
  { exec: { command: ['/nodejs/bin/node', '-e', '0', '/app/sidecar.cjs', 'probe', 'healthz'] } },
  { exec: {} },
);
const securityContext = fc.record(
  {
    runAsUser: fc.constantFrom(0, 1000),
    privileged: fc.boolean(),
    allowPrivilegeEscalation: fc.boolean(),
    readOnlyRootFilesystem: fc.boolean(),
    procMount: fc.constantFrom('Default', 'Unmasked'),
    capabilities: fc.constantFrom<unknown>(
      null,
      {},
      { add: ['SYS_PTRACE'] },
      { drop: ['NET_RAW'] },
      { drop: ['ALL'], add: ['SYS_ADMIN'] },
    ),
    seccompProfile: fc.constantFrom<unknown>(null, { type: 'Unconfined' }, { type: 'Localhost' }),
    appArmorProfile: fc.constantFrom<unknown>(null, { type: 'Unconfined' }, { type: 'RuntimeDefault' }),
  },
  { requiredKeys: [] },
);
const VARIABLES = ['NODE_OPTIONS', 'LD_PRELOAD', 'OPENSSL_CONF', 'SSL_CERT_FILE', 'GCONV_PATH', 'LOCPATH'];
const sidecar = fc.record({
  name: fc.constant(SIDECAR_CONTAINER),
  image: fc.constant('evil:1'),
  command: fc.constantFrom(['sh'], null),
  args: fc.constantFrom(undefined, ['--x']),
  workingDir: fc.constantFrom(undefined, '/mesh'),
  env: fc.array(fc.record({ name: fc.constantFrom(...VARIABLES), value: fc.constant('/mesh/x') }), { maxLength: 2 }),
  envFrom: fc.constantFrom(undefined, [{ prefix: 'NODE_', configMapRef: { name: 'mine' } }]),
  volumeMounts: mounts,
  volumeDevices: fc.constantFrom(undefined, [{ name: 'mine', devicePath: '/app' }]),
  livenessProbe: fc.option(program, { nil: undefined }),
  readinessProbe: fc.option(program, { nil: undefined }),
  startupProbe: fc.option(program, { nil: undefined }),
  lifecycle: fc.option(fc.record({ preStop: program, postStart: program }, { requiredKeys: [] }), { nil: undefined }),
  terminationMessagePath: fc.constantFrom(undefined, '/dev/termination-log', `${TOKEN_DIRECTORY}/token`),
  securityContext: fc.option(securityContext, { nil: undefined }),
});
const volume = fc.record({
  name: fc.constantFrom(...OURS),
  hostPath: fc.constantFrom(undefined, { path: '/' }),
  projected: fc.constantFrom(undefined, { sources: [] }),
});

/** The pods that an author can make of any pod, with a status of his own. */
const forged = fc
  .tuple(pods, mounts, fc.array(sidecar, { maxLength: 8 }), fc.array(volume, { maxLength: 4 }), fc.boolean(), fc.json())
  .map(([pod, stolen, sidecars, volumes, isOfThisVersion, junk]) => {
    const containers = [...pod.spec.containers, { name: 'other', image: 'x', volumeMounts: stolen }];
    const thief = { name: 'other-init', image: 'x', volumeMounts: stolen };
    const initContainers = [...(pod.spec.initContainers ?? []), ...sidecars, thief];
    const lists = [
      ...initContainers.map((one) => ['initContainers', one.name]),
      ...containers.map((one) => ['containers', one.name]),
    ];
    const names = lists.flatMap(([list = '', name = ''], index) => [`/spec/${list}/${name}`, `/spec/${list}/${index}`]);
    const empty = Object.fromEntries([
      ...names.flatMap((name) => [
        [`${name}/volumeMounts`, stolen],
        [`${name}/env`, [{ name: 'STOLEN' }]],
        [name, stolen],
      ]),
      ...['volumes', 'initContainers', 'containers'].map((list) => [`/spec/${list}`, sidecars]),
      ['/metadata/annotations', { stolen: 'yes' }],
      ['/metadata/labels', JSON.parse(junk) as unknown],
    ]) as Record<string, unknown>;
    const status = JSON.stringify({ ...(isOfThisVersion && { version: VERSION }), empty });
    const { metadata, spec } = pod;
    const annotations = {
      ...metadata.annotations,
      [STATUS]: status,
      'azure.workload.identity/skip-containers': 'other;other-init',
    } as Record<string, string>;
    const all = { ...spec, containers, initContainers, volumes: [...(spec.volumes ?? []), ...volumes] };
    return JSON.parse(JSON.stringify({ ...pod, metadata: { ...metadata, annotations }, spec: all })) as PodJson;
  });

function list(item: Item, field: string): Item[] {
  return (item[field] ?? []) as Item[];
}

function checkPromises(pod: PodJson): void {
  const [first, ...more] = pod.spec.initContainers ?? [];
  assert.ok(first?.name === SIDECAR_CONTAINER, 'the sidecar comes first');
  checkSidecar(first);
  for (const one of [...more, ...pod.spec.containers]) checkContainer(one);
  const token = (pod.spec.volumes ?? []).filter(({ name }) => name === VOLUME.token);
  assert.deepEqual(
    token.map((one) => Object.keys(one)),
    [['name', 'projected']],
  );
}

function checkSidecar(sidecar: Item): void {
  assert.deepEqual((sidecar['command'] as string[]).at(-1), '/app/sidecar.cjs');
  for (const field of ['args', 'workingDir', 'envFrom', 'volumeDevices']) assert.ok(!(field in sidecar), field);
  const variables = list(sidecar, 'env').map(({ name }) => name);
  assert.deepEqual(
    variables.filter((name) => VARIABLES.includes(name)),
    [],
  );
  checkPrograms(sidecar);
  checkPrivileges(sidecar['securityContext'] as Record<string, unknown>);
  const places = list(sidecar, 'volumeMounts').map(
    ({ name, mountPath, readOnly = false, subPath = '' }) =>
      `${name} ${String(mountPath)} ${String(readOnly)} ${String(subPath)}`,
  );
  assert.deepEqual(places.filter((place) => !/^mine \/(?:mesh|stolen) /.test(place)).sort(), [
    `${VOLUME.state} ${STATE_DIRECTORY} false `,
    `${VOLUME.noApiToken} /var/run/secrets/kubernetes.io/serviceaccount true `,
    `${VOLUME.token} ${TOKEN_DIRECTORY} true `,
  ]);
}

/** Nothing but our own probes runs in the sidecar. */
function checkPrograms({ livenessProbe, startupProbe, readinessProbe, lifecycle, terminationMessagePath }: Item): void {
  for (const probe of [livenessProbe, startupProbe] as ({ exec?: { command: string[] } } | undefined)[]) {
    if (probe?.exec === undefined) continue;
    assert.equal(probe.exec.command[0], '/nodejs/bin/node');
    assert.ok(!probe.exec.command.includes('-e'));
    assert.equal(probe.exec.command.at(-2), 'probe');
  }
  assert.doesNotMatch(JSON.stringify([readinessProbe, lifecycle]), /exec/);
  assert.ok([undefined, '/dev/termination-log'].includes(terminationMessagePath as string | undefined));
}

function checkPrivileges(context: Record<string, unknown>): void {
  const { privileged, procMount, seccompProfile, appArmorProfile } = context;
  assert.equal(context['allowPrivilegeEscalation'], false);
  assert.equal(context['readOnlyRootFilesystem'], true);
  assert.deepEqual(context['capabilities'], { drop: ['ALL'] });
  assert.ok(privileged !== true && procMount !== 'Unmasked', 'neither privileged nor with all of /proc');
  assert.match(JSON.stringify(seccompProfile), /RuntimeDefault|Localhost/);
  assert.doesNotMatch(JSON.stringify([appArmorProfile]), /Unconfined/);
}

function checkContainer(one: Item): void {
  const ours = list(one, 'volumeMounts').filter(({ name }) => name !== 'mine' && name !== 'work');
  for (const { name, readOnly, mountPropagation = 'None' } of ours) {
    assert.ok(name === VOLUME.state || name === VOLUME.config, `${one.name} mounts ${name}`);
    assert.ok(readOnly === true && mountPropagation === 'None', `${one.name} mounts ${name} read-only`);
  }
  if (one.name === 'other') assert.deepEqual(ours, [], 'a container that is left out');
  assert.ok(!list(one, 'env').some(({ name }) => name === 'STOLEN'));
}

void t.test('a forged earlier pass', (t) => {
  let kept = 0;
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(forged, (pod) => {
        const outcome = inject(pod);
        if (outcome.kind !== 'injected') return;
        kept++;
        const once = patched(pod);
        checkPromises(once);
        const twice = patched(once);
        checkPromises(twice);
        assert.deepEqual(patched(twice), twice, 'a third pass changes nothing');
      }),
      { numRuns: 300 },
    ),
  );
  t.ok(kept > 100, 'most of the pods are injected');
  t.end();
});

void t.test('what is written of `empty` is only what may stand there', (t) => {
  const real = {
    '/spec/containers/app/env': [],
    '/spec/containers/app/volumeMounts': null,
    '/metadata/annotations': {},
  };
  const claimed = {
    ...real,
    '/spec/containers/app/command': [],
    '/spec/containers/gone/env': [],
    '/spec/containers/0/env': [],
    '/spec': {},
    '/metadata/labels': [],
    '/spec/volumes': {},
    '/spec/imagePullSecrets': [{}],
    ...Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`/spec/x${index}`, []])),
  };
  const pod = {
    metadata: {
      labels: { 'azure.workload.identity/use': 'true' },
      annotations: { [STATUS]: JSON.stringify({ version: VERSION, empty: claimed }) },
    },
    spec: { containers: [{ name: 'app', image: 'x' }] },
  };
  const status = JSON.parse(patched(pod).metadata.annotations?.[STATUS] ?? '') as { empty: unknown };
  t.strictSame(status.empty, real);
  t.end();
});

void t.test('mounts of others in the sidecar', (t) => {
  const base = patched({
    metadata: { labels: { 'azure.workload.identity/use': 'true' } },
    spec: { containers: [{ name: 'app', image: 'x' }] },
  });
  const staysAt = (mountPath: string): boolean => {
    const pod = structuredClone(base);
    const [first] = pod.spec.initContainers ?? [];
    if (first !== undefined) list(first, 'volumeMounts').push({ name: 'mine', mountPath });
    return list(patched(pod).spec.initContainers?.[0] ?? { name: '' }, 'volumeMounts').some(
      ({ name }) => name === 'mine',
    );
  };
  for (const path of [
    '/mesh',
    '/opt/agent/',
    '/var/run/secrets/azure/tokens',
    '/var/run/secrets/kubernetes.io/other',
    '/vault/secrets',
    '/tmp',
    '/application',
  ]) {
    t.ok(staysAt(path), path);
  }
  for (const path of [
    '/',
    '/app',
    'app',
    '/app/sidecar.cjs',
    '//app//',
    '/./app',
    '/nodejs/bin',
    '/usr/lib/x86_64-linux-gnu',
    '/lib',
    '/etc/ssl/certs',
    '/proc/1/root',
    '/var',
    '/run',
    '/run/ado-git',
    '/run/secrets/ado-git/token',
    '/var/run/secrets',
    '/var/run/secrets/kubernetes.io/serviceaccount/x',
    '/var/run/secrets/azure/../../../../app',
    '/mesh/../mesh',
  ]) {
    t.notOk(staysAt(path), path);
  }
  t.end();
});

void t.test('programs of others in the sidecar go, and requests of others stay', (t) => {
  const base = patched({
    metadata: { labels: { 'azure.workload.identity/use': 'true' } },
    spec: { containers: [{ name: 'app', image: 'x' }] },
  });
  const change = (fields: Record<string, unknown>): Item => {
    const pod = structuredClone(base);
    Object.assign(pod.spec.initContainers?.[0] ?? {}, fields);
    return patched(pod).spec.initContainers?.[0] ?? { name: '' };
  };
  const exec = { command: ['/nodejs/bin/node', '--require', '/mesh/x.cjs', '/app/sidecar.cjs', 'probe', 'healthz'] };
  const httpGet = { path: '/drain', port: 15020 };
  t.strictSame(change({ lifecycle: { preStop: { exec }, postStart: { httpGet } } })['lifecycle'], {
    postStart: { httpGet },
  });
  t.notOk('lifecycle' in change({ lifecycle: { preStop: { exec } } }));
  t.strictSame(change({ readinessProbe: { httpGet } })['readinessProbe'], { httpGet });
  t.strictSame(change({ readinessProbe: { exec } }), base.spec.initContainers?.[0]);
  t.strictSame(change({ startupProbe: { exec } }), base.spec.initContainers?.[0]);
  t.strictSame(
    (change({ livenessProbe: { exec, periodSeconds: 60 } })['livenessProbe'] as Item)['httpGet'],
    (base.spec.initContainers?.[0]?.['livenessProbe'] as Item)['httpGet'],
    'the liveness probe asks the sidecar again',
  );
  t.strictSame(change({ securityContext: null })['securityContext'], {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  });
  t.end();
});

void t.test('ephemeral containers never mount our volumes, on any pass', (t) => {
  const build = (name: string): PodJson => ({
    metadata: { labels: { 'azure.workload.identity/use': 'true' }, annotations: { [ANNOTATION.inject]: 'enabled' } },
    spec: {
      containers: [{ name: 'app', image: 'x' }],
      ...{ ephemeralContainers: [{ name: 'debug', volumeMounts: [{ name, mountPath: '/x' }] }] },
    },
  });
  t.equal(inject(build('mine')).kind, 'injected');
  const later = { ...build(VOLUME.token) };
  later.metadata = { ...later.metadata, annotations: { [STATUS]: '{}' } };
  for (const pod of [build(VOLUME.token), build(VOLUME.state), later]) {
    t.match(inject(pod), {
      kind: 'refused',
      reason: 'name-taken',
      answer: 'deny',
      message: /spec\.ephemeralContainers\[0\] debug mounts the volume ado-git/,
    });
  }
  t.end();
});

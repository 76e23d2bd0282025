/** A second pass restores what is ours, and keeps what others changed. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import t from 'tap';
import { type Defaults, injectPod, STANDARD_DEFAULTS, uninjectPod } from '../../src/inject/index.js';
import { ANNOTATION, SIDECAR_CONTAINER, SIDECAR_PORT_NAME, USE_LABEL, WRITTEN_ANNOTATION } from '../../src/names.js';
import { byName, inject, type Item, patched, type PodJson, pods } from '../support/arbitrary-pods.js';

const RUNS = { numRuns: 300 };
const ACCOUNT = {
  'azure.workload.identity/client-id': '11111111-2222-3333-4444-555555555555',
  'azure.workload.identity/tenant-id': '99999999-8888-7777-6666-555555555555',
};
const API_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount';

function listAll({ spec }: PodJson): Item[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

function findSidecar(pod: PodJson): Item {
  const found = (pod.spec.initContainers ?? []).find(({ name }) => name === SIDECAR_CONTAINER);
  if (found === undefined) throw new Error('there is no sidecar');
  return found;
}

function list(item: Item, field: string): Item[] {
  return (item[field] ??= []) as Item[];
}

function uninjected(pod: PodJson): PodJson {
  const copy = structuredClone(pod);
  applyPatch(copy, structuredClone(uninjectPod(pod) ?? []) as never);
  return copy;
}

/** A change to a pod after its first pass. */
type Change = (pod: PodJson) => void;

const resources = fc.constantFrom(
  { requests: { cpu: '50m', memory: '52Mi' }, limits: { cpu: '1', memory: '104Mi' } },
  { requests: { cpu: '10m', 'ephemeral-storage': '1Gi' }, limits: { 'ephemeral-storage': '2Gi' } },
  {},
);
const probe = fc.constantFrom(
  { httpGet: { path: '/app-health/ado-git-identity/livez', port: 15020, scheme: 'HTTP' } },
  { httpGet: { path: '/healthz', port: 20300, scheme: 'HTTP' }, periodSeconds: 5 },
  { httpGet: { path: '/healthz', port: 8779, scheme: 'HTTPS' } },
  { httpGet: { path: '/healthz', port: 8779, httpHeaders: [{ name: 'a', value: 'b' }] } },
  { httpGet: { path: '/healthz', port: 8779, scheme: 'HTTP', host: '10.0.0.1' } },
  { tcpSocket: { port: 8779 } },
  undefined,
);

/** What others may change on the sidecar: each value survives as it is. */
const onSidecar: fc.Arbitrary<Change> = fc
  .record(
    {
      image: fc.constantFrom('mirror.example/ado-git-identity:1', 'sidecar@sha256:ab'),
      imagePullPolicy: fc.constantFrom('Always', 'Never'),
      resources,
      securityContext: fc.record(
        {
          runAsUser: fc.nat(),
          runAsGroup: fc.nat(),
          seLinuxOptions: fc.constant({ level: 's0:c26,c5' }),
          capabilities: fc.constant({ drop: ['MKNOD', 'ALL'] }),
          seccompProfile: fc.constant({ type: 'Localhost', localhostProfile: 'audit.json' }),
          privileged: fc.constant(false),
        },
        { requiredKeys: [] },
      ),
      livenessProbe: probe,
      startupProbe: probe,
      lifecycle: fc.constantFrom({}, { preStop: { sleep: { seconds: 5 } } }, { preStop: { httpGet: { port: 15020 } } }),
      readinessProbe: fc.constant({ httpGet: { path: '/app-health/ado-git-identity/readyz', port: 15020 } }),
      terminationMessagePath: fc.constant('/dev/termination-log'),
      'x-newer': fc.json().map((text) => JSON.parse(text) as unknown),
    },
    { requiredKeys: [] },
  )
  .map((fields) => (pod) => {
    const sidecar = findSidecar(pod);
    const context = { ...(sidecar['securityContext'] as object), ...fields.securityContext };
    Object.assign(sidecar, fields, { securityContext: context });
    for (const [field, value] of Object.entries(sidecar))
      if (value === undefined) Reflect.deleteProperty(sidecar, field);
  });

/** What others may add to every container, and to the pod. */
const onPod = fc.constantFrom<Change>(
  (pod) => listAll(pod).forEach((one) => list(one, 'env').unshift({ name: 'MESH', value: '1' })),
  (pod) => listAll(pod).forEach((one) => list(one, 'env').push({ name: 'AZURE_CLIENT_ID', valueFrom: { x: 1 } })),
  (pod) => listAll(pod).forEach((one) => list(one, 'volumeMounts').push({ name: 'mesh', mountPath: '/mesh' })),
  (pod) => listAll(pod).forEach((one) => (one['image'] = `mirror.example/${String(one['image'])}`)),
  (pod) => (pod.spec.initContainers ?? []).unshift({ name: 'mesh-init', image: 'mesh:1' }),
  (pod) => (pod.spec.initContainers ?? []).unshift({ name: 'mesh-proxy', image: 'mesh:1', restartPolicy: 'Always' }),
  (pod) => pod.spec.volumes?.unshift({ name: 'mesh', emptyDir: {} }),
  (pod) =>
    pod.spec.volumes?.forEach(({ projected, downwardAPI }) => {
      const sources = [projected, downwardAPI] as (object | undefined)[];
      for (const source of sources) if (source !== undefined) Object.assign(source, { defaultMode: 420 });
    }),
  (pod) => (pod.metadata.labels['mesh'] = 'on'),
);
const outside = fc.tuple(onSidecar, fc.uniqueArray(onPod, { maxLength: 4 })).map(([first, more]): Change => (pod) => {
  for (const change of [first, ...more]) change(pod);
});

void t.test('what others changed outside our stake survives byte for byte, and a third pass is empty', (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pods, outside, (pod, change) => {
        const changed = patched(pod);
        change(changed);
        const second = patched(changed);
        assert.equal(second.spec.initContainers?.[0]?.name, SIDECAR_CONTAINER, 'it comes first');
        assert.equal(JSON.stringify(findSidecar(second)), JSON.stringify(findSidecar(changed)));
        assert.equal(JSON.stringify(uninjected(second)), JSON.stringify(uninjected(changed)));
        const third = inject(second);
        assert.ok(third.kind === 'injected' && third.patch.length === 0, 'the third patch is empty');
      }),
      RUNS,
    ),
  );
  t.end();
});

/** Changes to what is ours, as careless or old webhooks make them: a second pass undoes each. */
const damages: Readonly<Record<string, Change>> = {
  command: (pod) => (findSidecar(pod)['command'] = ['sh']),
  'restart policy': (pod) => Reflect.deleteProperty(findSidecar(pod), 'restartPolicy'),
  'place of the sidecar': (pod) => pod.spec.initContainers?.reverse(),
  'second sidecar': (pod) => pod.spec.initContainers?.push(structuredClone(findSidecar(pod))),
  'value of a variable': (pod) => list(findSidecar(pod), 'env').forEach((one) => (one['value'] = 'x')),
  'source of a variable': (pod) =>
    list(findSidecar(pod), 'env').forEach((one) => (one['valueFrom'] = { fieldRef: { fieldPath: 'metadata.name' } })),
  'no variables': (pod) => Reflect.deleteProperty(findSidecar(pod), 'env'),
  'mounts of the sidecar': (pod) => (findSidecar(pod)['volumeMounts'] = null),
  'writable token': (pod) =>
    list(findSidecar(pod), 'volumeMounts')
      .filter(({ readOnly }) => readOnly)
      .forEach((one) => (one['readOnly'] = false)),
  "the API server's mount": (pod) =>
    list(findSidecar(pod), 'volumeMounts').splice(2, 1, { name: 'kube-api-access-x', mountPath: API_TOKEN }),
  'sources of volumes': (pod) =>
    pod.spec.volumes?.forEach((one) => one.name.startsWith('ado-git') && (one['emptyDir'] = {})),
  'propagation of mounts': (pod) =>
    listAll(pod).forEach((one) =>
      list(one, 'volumeMounts')
        .filter(({ name }) => name.startsWith('ado-git'))
        .forEach((item) => (item['mountPropagation'] = 'HostToContainer')),
    ),
  'volumes twice': (pod) => pod.spec.volumes?.push(...structuredClone(pod.spec.volumes)),
  'mounts twice': (pod) =>
    listAll(pod).forEach((one) => {
      const mounts = list(one, 'volumeMounts');
      mounts.push(...structuredClone(mounts.filter(({ name }) => name.startsWith('ado-git'))));
    }),
  'mounts of containers': (pod) =>
    pod.spec.containers.forEach((one) =>
      list(one, 'volumeMounts').forEach((item) => item.name.startsWith('ado-git') && (item['subPath'] = 'x')),
    ),
  'variables of the sidecar twice': (pod) =>
    list(findSidecar(pod), 'env').push(...structuredClone(list(findSidecar(pod), 'env'))),
  label: (pod) => (pod.metadata.labels['ado-git.workload.identity/injected'] = 'no'),
  annotations: (pod) => Object.assign(pod.metadata.annotations ?? {}, { [WRITTEN_ANNOTATION.helper]: 'exit 1' }),
};

void t.test('what is ours is restored, each item once, whatever others changed besides', (t) => {
  const some = fc.uniqueArray(fc.constantFrom(...Object.keys(damages)), { minLength: 1, maxLength: 4 });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pods, outside, some, (pod, change, names) => {
        const changed = patched(pod);
        change(changed);
        const damaged = structuredClone(changed);
        for (const name of names) damages[name]?.(damaged);
        const second = patched(damaged);
        assert.equal(second.spec.initContainers?.[0]?.name, SIDECAR_CONTAINER);
        assert.deepEqual(ours(second), ours(patched(changed)));
        const third = inject(second);
        assert.ok(third.kind === 'injected' && third.patch.length === 0, 'the third patch is empty');
      }),
      RUNS,
    ),
  );
  t.end();
});

/** Our items by name; a name that appears twice fails. */
function ours(pod: PodJson): unknown {
  const own = (items: unknown): Item[] => ((items ?? []) as Item[]).filter(({ name }) => name.startsWith('ado-git'));
  const once = (items: Item[]): Item[] => {
    const keys = items.map(({ name, mountPath }) => `${name} ${String(mountPath)}`);
    assert.deepEqual([...new Set(keys)], keys, 'each item is there once');
    return items;
  };
  const { env, volumeMounts, command, restartPolicy } = findSidecar(pod);
  const variables = ((env ?? []) as Item[]).filter(({ name }) => !/^(?:MESH|AZURE_)/.test(name));
  return byName({
    metadata: pod.metadata,
    spec: {
      containers: pod.spec.containers.map(({ name, volumeMounts: mounts }) => ({ name, mounts: once(own(mounts)) })),
      // The API server's default, which restored volumes lack until it fills it in again.
      volumes: dropDefaultMode(once(own(pod.spec.volumes))),
      initContainers: [
        { name: SIDECAR_CONTAINER, command, restartPolicy, env: once(variables), mounts: once(own(volumeMounts)) },
      ],
    },
  });
}

function dropDefaultMode(volumes: Item[]): Item[] {
  const reviver = (key: string, value: unknown): unknown => (key === 'defaultMode' ? undefined : value);
  return JSON.parse(JSON.stringify(volumes), reviver) as Item[];
}

const DEFAULTS: Defaults = { ...STANDARD_DEFAULTS, image: 'sidecar:1' };

function pass(pod: unknown, annotations: Record<string, string> = {}, defaults: Partial<Defaults> = {}): PodJson {
  const serviceAccount = { state: 'found', annotations: { ...ACCOUNT, ...annotations } } as const;
  const outcome = injectPod({ pod, namespace: 'shop', serviceAccount, defaults: { ...DEFAULTS, ...defaults } });
  if (outcome.kind !== 'injected') throw new Error(outcome.message);
  const result = structuredClone(pod) as PodJson;
  const errors = applyPatch(result, structuredClone(outcome.patch) as never).filter((error) => error !== null);
  if (errors.length > 0) throw new Error(`the patch does not apply: ${errors.join('; ')}`);
  return result;
}

function buildPod(spec: Record<string, unknown> = {}): PodJson {
  return {
    metadata: { labels: { [USE_LABEL]: 'true' } },
    spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
  };
}

function env(item: Item | undefined): Record<string, unknown> {
  return Object.fromEntries(((item?.['env'] ?? []) as Item[]).map(({ name, value }) => [name, value]));
}

void t.test('probe and named port follow the port, unless others rewrote them', (t) => {
  const first = pass(buildPod());
  const followed = findSidecar(pass(first, { [ANNOTATION.port]: '9000' }));
  t.equal(env(followed)['ADO_GIT_PORT'], '9000');
  t.strictSame((followed['livenessProbe'] as Item)['httpGet'], { path: '/healthz', port: 9000, scheme: 'HTTP' });

  const named = { name: SIDECAR_PORT_NAME, containerPort: 9000, protocol: 'TCP' };
  t.strictSame(followed['ports'], [named]);
  const own = { name: 'of-a-mesh', containerPort: 15020 };
  const shared = structuredClone(first);
  (findSidecar(shared)['ports'] as Item[]).push(own);
  t.strictSame(findSidecar(pass(shared, { [ANNOTATION.port]: '9000' }))['ports'], [named, own]);
  for (const ports of [undefined, null, [], [own]]) {
    const changed = structuredClone(first);
    Object.assign(findSidecar(changed), { ports });
    const { ports: kept } = findSidecar(pass(changed, { [ANNOTATION.port]: '9000' }));
    t.strictSame(kept, ports, 'a port that others removed does not come back');
  }

  const slower = structuredClone(first);
  Object.assign(findSidecar(slower)['livenessProbe'] as object, { periodSeconds: 30, timeoutSeconds: 20 });
  t.match(findSidecar(pass(slower, { [ANNOTATION.port]: '9000' }))['livenessProbe'], {
    httpGet: { port: 9000 },
    periodSeconds: 30,
    timeoutSeconds: 20,
  });

  const rewritten = structuredClone(first);
  const httpGet = { path: '/app-health/ado-git-identity/livez', port: 15020 };
  Object.assign(findSidecar(rewritten)['livenessProbe'] as object, { httpGet });
  const kept = findSidecar(pass(rewritten, { [ANNOTATION.port]: '9000' }));
  t.strictSame((kept['livenessProbe'] as Item)['httpGet'], httpGet);
  t.equal(env(kept)['ADO_GIT_PORT'], '9000');

  const meshed = structuredClone(first);
  meshed.spec.containers.push({ name: 'istio-proxy', image: 'proxy:1' });
  const asked = findSidecar(pass(meshed))['livenessProbe'] as Item;
  t.match(asked, { exec: { command: /healthz/ }, timeoutSeconds: 10, periodSeconds: 60 });
  t.notOk('httpGet' in asked);
  t.end();
});

void t.test('the startup probe follows the startup rule, unless others rewrote or removed it', (t) => {
  const wait = { [ANNOTATION.startup]: 'wait' };
  t.match(findSidecar(pass(pass(buildPod()), wait))['startupProbe'], { httpGet: { path: '/startz' } });
  const waiting = pass(buildPod(), wait);
  t.notOk('startupProbe' in findSidecar(pass(waiting)), 'it goes with the rule');
  const without = structuredClone(waiting);
  Reflect.deleteProperty(findSidecar(without), 'startupProbe');
  t.notOk('startupProbe' in findSidecar(pass(without, wait)));
  const rewritten = structuredClone(waiting);
  const startupProbe = { httpGet: { path: '/app-health/ado-git-identity/startupz', port: 15020 } };
  findSidecar(rewritten)['startupProbe'] = startupProbe;
  t.strictSame(findSidecar(pass(rewritten))['startupProbe'], startupProbe);
  t.end();
});

void t.test('variables follow the service account; what another replica added for the installation stays', (t) => {
  const first = pass(buildPod(), { [ANNOTATION.organizations]: 'contoso' }, { extraCaConfigMap: 'ca', noProxy: 'a' });
  const second = pass(first, { [ANNOTATION.logLevel]: 'debug' });
  const variables = env(findSidecar(second));
  t.notOk('ADO_GIT_ORGANIZATIONS' in variables);
  t.equal(variables['ADO_GIT_LOG_LEVEL'], 'debug');
  t.equal(variables['NO_PROXY'], 'a');
  t.equal(variables['ADO_GIT_EXTRA_CA'], '/etc/ado-git-ca/ca.crt');
  t.match(findSidecar(second)['volumeMounts'], [{}, {}, {}, { name: 'ado-git-extra-ca' }]);
  t.end();
});

void t.test('a sidecar of another version, or of a status that can not be read, is rebuilt whole', (t) => {
  const fresh = pass(buildPod());
  for (const status of ['{}', 'x', '{"version":"0.0.1"}', '{"version":5}', 'null', '[]']) {
    const earlier = structuredClone(fresh);
    Object.assign(findSidecar(earlier), { image: 'old:1', lifecycle: {}, resources: {} });
    list(findSidecar(earlier), 'volumeMounts').splice(2, 1, { name: 'kube-api-access-x', mountPath: API_TOKEN });
    Object.assign(earlier.metadata.annotations ?? {}, { [WRITTEN_ANNOTATION.status]: status });
    t.strictSame(pass(earlier), fresh, status);
  }
  t.end();
});

void t.test('our variables in a container are restored', (t) => {
  const ofUser = [
    { name: 'GIT_CONFIG_COUNT', value: '1' },
    { name: 'GIT_CONFIG_KEY_0', value: 'a.b' },
    { name: 'GIT_CONFIG_VALUE_0', value: 'c' },
  ];
  const damage = (variable: string, change: (item: Item, items: Item[]) => void) => (items: Item[]) => {
    const item = items.find(({ name }) => name === variable);
    if (item !== undefined) change(item, items);
  };
  const table: readonly (readonly [string, (items: Item[]) => void])[] = [
    ['all of them twice', (items) => items.push(...structuredClone(items))],
    ['a count that is too low', damage('GIT_CONFIG_COUNT', (item) => (item['value'] = '0'))],
    ['a key of others', damage('GIT_CONFIG_KEY_1', (item) => (item['value'] = 'safe.directory'))],
    ['no key', damage('GIT_CONFIG_KEY_1', (item, items) => items.splice(items.indexOf(item), 1))],
    ['the value twice', damage('GIT_CONFIG_VALUE_1', (item, items) => items.push({ ...item }))],
    ['a value of others', damage('GIT_CONFIG_VALUE_1', (item) => (item['value'] = '/other'))],
    ['the system file twice', damage('GIT_CONFIG_SYSTEM', (item, items) => items.push({ ...item }))],
  ];
  for (const ofContainer of [[], ofUser]) {
    const securityContext = { runAsNonRoot: true };
    const first = pass(buildPod({ containers: [{ name: 'app', env: ofContainer, securityContext }] }));
    for (const [what, change] of table) {
      const damaged = structuredClone(first);
      const items = list(damaged.spec.containers[0] ?? { name: '' }, 'env');
      // Without variables of the user's, ours are the first pair.
      if (ofContainer.length === 0) {
        const renamed = items.map((item) => ({ ...item, name: item.name.replace(/_0$/, '_1') }));
        change(renamed);
        items.splice(0, items.length, ...renamed.map((item) => ({ ...item, name: item.name.replace(/_1$/, '_0') })));
      } else {
        change(items);
      }
      const second = pass(damaged);
      const after = list(second.spec.containers[0] ?? { name: '' }, 'env');
      const last = new Map(after.map(({ name, value }) => [name, value]));
      const pairs = Array.from({ length: Number(last.get('GIT_CONFIG_COUNT')) }, (_, n) => [
        last.get(`GIT_CONFIG_KEY_${n}`),
        last.get(`GIT_CONFIG_VALUE_${n}`),
      ]);
      const included = pairs.filter(([, value]) => value === '/etc/ado-git/gitconfig');
      t.strictSame(included, [['include.path', '/etc/ado-git/gitconfig']], `${what}: git reads ours once`);
      t.ok(
        pairs.flat().every((text) => text !== undefined),
        `${what}: no pair is missing`,
      );
      t.equal(after.filter(({ value }) => value === '/etc/ado-git/gitconfig-system').length, 1, what);
      t.equal(after.filter(({ value }) => value === '/etc/ado-git/gitconfig').length, 1, what);
      t.strictSame(pass(second), second, `${what}: a third pass is empty`);
    }
  }
  t.end();
});

void t.test('pairs that others appended after ours stay', (t) => {
  const first = pass(buildPod());
  const items = list(first.spec.containers[0] ?? { name: '' }, 'env');
  const count = items.find(({ name }) => name === 'GIT_CONFIG_COUNT');
  if (count !== undefined) count['value'] = '2';
  items.push({ name: 'GIT_CONFIG_KEY_1', value: 'x.y' }, { name: 'GIT_CONFIG_VALUE_1', value: 'z' });
  t.strictSame(pass(first), first);
  t.strictSame(list(uninjected(first).spec.containers[0] ?? { name: '' }, 'env'), [
    { name: 'GIT_CONFIG_COUNT', value: '1' },
    { name: 'GIT_CONFIG_KEY_0', value: 'x.y' },
    { name: 'GIT_CONFIG_VALUE_0', value: 'z' },
  ]);
  t.end();
});

void t.test('however many pairs of ours there are, one is left, and those of others stay in their order', (t) => {
  const pair = (index: number, key: string, value: string): Item[] => [
    { name: `GIT_CONFIG_KEY_${index}`, value: key },
    { name: `GIT_CONFIG_VALUE_${index}`, value },
  ];
  const first = pass(buildPod());
  const app = first.spec.containers[0] ?? { name: '' };
  app['env'] = [
    { name: 'GIT_CONFIG_COUNT', value: '60' },
    ...Array.from({ length: 60 }, (_, index) =>
      index % 3 === 2 ? pair(index, 'a.b', String(index)) : pair(index, 'include.path', '/etc/ado-git/gitconfig'),
    ).flat(),
    ...pair(70, 'not.read', 'x'),
  ];
  const ofOthers = Array.from({ length: 20 }, (_, index) => pair(index, 'a.b', String(3 * index + 2))).flat();
  const notRead = pair(70, 'not.read', 'x');
  t.strictSame(list(uninjected(first).spec.containers[0] ?? { name: '' }, 'env'), [
    { name: 'GIT_CONFIG_COUNT', value: '20' },
    ...ofOthers,
    ...notRead,
  ]);
  const second = pass(first);
  t.strictSame(list(second.spec.containers[0] ?? { name: '' }, 'env'), [
    { name: 'GIT_CONFIG_COUNT', value: '21' },
    ...ofOthers,
    ...notRead,
    ...pair(20, 'include.path', '/etc/ado-git/gitconfig'),
  ]);
  t.strictSame(pass(second), second, 'a third pass is empty');
  t.end();
});

void t.test('where a default of the installation is missing on a later pass, what the first pass wrote stays', (t) => {
  const clientId = ACCOUNT['azure.workload.identity/client-id'];
  const tenantId = ACCOUNT['azure.workload.identity/tenant-id'];
  const bare: Defaults = { image: 'sidecar:1', ...STANDARD_DEFAULTS };
  const judge = (pod: unknown, defaults: Defaults) =>
    injectPod({ pod, namespace: 'team', serviceAccount: { state: 'found', annotations: {} }, defaults });
  const pod = {
    metadata: { name: 'app', labels: { [USE_LABEL]: 'true' } },
    spec: { serviceAccountName: 'git', containers: [{ name: 'app', image: 'app:1' }] },
  };
  t.match(judge(pod, bare), { kind: 'refused', reason: 'no-client-id' }, 'nothing is made up on a first pass');
  const first = judge(pod, { ...bare, clientId, tenantId });
  if (first.kind !== 'injected') throw new Error('the first pass does not inject');
  const injected = structuredClone(pod);
  applyPatch(injected, structuredClone(first.patch) as never);
  for (const defaults of [bare, { ...bare, clientId }, { ...bare, tenantId }]) {
    t.match(judge(injected, defaults), { kind: 'injected', patch: [], status: { clientId, tenantId } });
  }
  const other = '22222222-2222-3333-4444-555555555555';
  t.match(judge(injected, { ...bare, clientId: other }), { status: { clientId: other, tenantId } }, 'a default wins');
  const forged = structuredClone(injected) as unknown as { metadata: { annotations: Record<string, string> } };
  for (const status of ['{"clientId":"../x","tenantId":7}', '{"clientId":{}}', '[]', 'null', '{']) {
    forged.metadata.annotations[WRITTEN_ANNOTATION.status] = status;
    t.match(judge(forged, bare), { kind: 'refused', reason: 'no-client-id' }, `${status} names no identity`);
  }
  t.end();
});

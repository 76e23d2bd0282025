/** The rules of the contract, a table of cases each. */
import t from 'tap';
import {
  type Defaults,
  DENIED_REASONS,
  examinePod,
  injectPod,
  keepAnnotations,
  LASTING_REASONS,
  type Outcome,
  PASSING_REASONS,
  type Reason,
  type ServiceAccountLookup,
  SKIP_REASONS,
  STANDARD_DEFAULTS,
} from '../../src/inject/index.js';
import { ANNOTATION, INJECT, USE_LABEL } from '../../src/names.js';

const CLIENT_ID = '11111111-2222-3333-4444-555555555555';
const TENANT_ID = '99999999-8888-7777-6666-555555555555';
const DEFAULTS: Defaults = { ...STANDARD_DEFAULTS, image: 'sidecar:1' };
const IDENTITY = { 'azure.workload.identity/client-id': CLIENT_ID, 'azure.workload.identity/tenant-id': TENANT_ID };
const FOUND: ServiceAccountLookup = { state: 'found', annotations: IDENTITY };

interface Case {
  readonly annotations?: Record<string, string>;
  readonly labels?: Record<string, string>;
  readonly spec?: Record<string, unknown>;
  readonly container?: Record<string, unknown>;
  readonly serviceAccount?: ServiceAccountLookup;
  readonly defaults?: Partial<Defaults>;
}

function buildPod({ annotations, labels, spec, container }: Case): unknown {
  return {
    metadata: { generateName: 'web-', labels: { [USE_LABEL]: 'true', ...labels }, ...(annotations && { annotations }) },
    spec: { containers: [{ name: 'app', image: 'app:1', ...container }], ...spec },
  };
}

function inject(given: Case): Outcome {
  const { serviceAccount = FOUND, defaults } = given;
  return injectPod({ pod: buildPod(given), namespace: 'shop', serviceAccount, defaults: { ...DEFAULTS, ...defaults } });
}

/** The sidecar that a pod gets. */
function injectSidecar(given: Case): Record<string, unknown> {
  const outcome = inject(given);
  if (outcome.kind !== 'injected') throw new Error(outcome.message);
  const operation = outcome.patch.find(({ path }) => path.startsWith('/spec/initContainers'));
  if (operation?.op !== 'add') throw new Error('no sidecar was added');
  return (Array.isArray(operation.value) ? operation.value[0] : operation.value) as Record<string, unknown>;
}

const STATUS = { 'ado-git.workload.identity/status': '{}' };

/** A pod for each reason, and what its message must name: the object, the field, the value, the fix. */
const REASONS: Readonly<
  Record<Exclude<Reason, 'namespace-not-enabled' | 'namespace-excluded'>, readonly [Case, RegExp]>
> = {
  'not-labelled': [{ labels: { [USE_LABEL]: 'yes' } }, /has no label azure\.workload\.identity\/use: "true"/],
  disabled: [{ annotations: { [INJECT]: 'disabled' } }, /inject is disabled/],
  'mirror-pod': [{ annotations: { 'kubernetes.io/config.mirror': 'x' } }, /mirror of a static pod/],
  'malformed-pod': [{ container: { env: 'A=1' } }, /^pod shop\/web-\*: spec\.containers\[0\]\.env is not a list$/],
  windows: [{ spec: { nodeSelector: { 'kubernetes.io/os': 'windows' } } }, /Windows pods can't be served; .*disabled/],
  'no-containers': [
    { annotations: { 'azure.workload.identity/skip-containers': 'app' } },
    /no container is left.*skip-containers/,
  ],
  'no-service-account': [
    { serviceAccount: { state: 'missing' } },
    /service account shop\/default does not exist; kubectl create/,
  ],
  'no-client-id': [
    { serviceAccount: { state: 'found', annotations: {} } },
    /service account shop\/default has no annotation azure.*kubectl annotate serviceaccount default -n shop azure\.workload\.identity\/client-id=CLIENT_ID/,
  ],
  'no-tenant-id': [
    { serviceAccount: { state: 'found', annotations: { 'azure.workload.identity/client-id': CLIENT_ID } } },
    /tenant-id; kubectl annotate .* \(or set the chart's azure\.tenantId\)/,
  ],
  'invalid-identity': [
    { serviceAccount: { state: 'found', annotations: { 'azure.workload.identity/client-id': 'shop' } } },
    /service account shop\/default: annotation azure\.workload\.identity\/client-id "shop" is not a client id; write it as/,
  ],
  'not-available': [
    { annotations: { [ANNOTATION.mode]: 'gateway' } },
    /annotation .*\/mode asks for what this version does not have yet; remove it/,
  ],
  'name-taken': [{ spec: { volumes: [{ name: 'ado-git', emptyDir: {} }] } }, /spec\.volumes holds ado-git; rename it/],
  'path-taken': [
    { container: { volumeMounts: [{ name: 'x', mountPath: '/run//ado-git/y' }] } },
    /mounts the volume x at \/run\/\/ado-git\/y/,
  ],
  'port-taken': [
    { container: { ports: [{ containerPort: 8779 }] } },
    /container app has containerPort 8779.*\/port to another port/,
  ],
  'startup-without-network': [
    { annotations: { [ANNOTATION.startup]: 'require' }, spec: { containers: [{ name: 'istio-proxy' }] } },
    /"require" is not possible with istio-proxy/,
  ],
  'settings-too-large': [
    {
      annotations: {
        [ANNOTATION.projects]: Array.from({ length: 300 }, (_, i) => `contoso/${'Ü'.repeat(50)}${i}`).join(','),
      },
    },
    /would take \d+ bytes of annotations, more than 204800/,
  ],
  'invalid-annotation': [
    { annotations: { [ANNOTATION.port]: '80' } },
    /annotation .*\/port "80" is not a port from 1024 to 65535/,
  ],
  'not-enforceable': [
    { annotations: { [ANNOTATION.access]: 'read' } },
    /access can't be enforced in helper mode.*remove it/,
  ],
  'reserved-annotation': [
    { annotations: { 'ado-git.workload.identity/helper': 'x' } },
    /helper is written by ado-git-identity only; remove it/,
  ],
  'service-account-unavailable': [
    { serviceAccount: { state: 'unavailable', cause: 'no answer in 1.5 s' } },
    /service account shop\/default could not be read: no answer in 1\.5 s; this is temporary, try again$/,
  ],
};

void t.test('every reason is reached, and answered by its rule', (t) => {
  for (const [reason, [given, message]] of Object.entries(REASONS)) {
    const outcome = inject(given);
    if (outcome.kind === 'injected') {
      t.fail(`${reason}: the pod was injected`);
      continue;
    }
    t.equal(outcome.reason, reason);
    t.match(outcome.message, message);
    if (outcome.kind === 'skipped') {
      t.ok(
        SKIP_REASONS.some((one) => one === reason),
        `${reason} is silent`,
      );
      continue;
    }
    const byName = inject({ ...given, annotations: { ...given.annotations, [INJECT]: 'enabled' } });
    const answers = [outcome.answer, byName.kind === 'refused' ? byName.answer : byName.kind];
    if (LASTING_REASONS.some((one) => one === reason)) t.strictSame(answers, ['admit', 'deny'], reason);
    if (DENIED_REASONS.some((one) => one === reason)) t.strictSame(answers, ['deny', 'deny'], reason);
    if (PASSING_REASONS.some((one) => one === reason)) t.strictSame(answers, ['retry', 'retry'], reason);
  }
  t.end();
});

void t.test('after an earlier pass a refusal denies', (t) => {
  const outcome = inject({ annotations: STATUS, serviceAccount: { state: 'missing' } });
  t.match(outcome, { kind: 'refused', reason: 'no-service-account', answer: 'deny' });
  t.end();
});

void t.test('names of ours are taken without a status, and ours with one', (t) => {
  const taken: readonly Case[] = [
    { container: { name: 'ado-git-identity' } },
    { spec: { initContainers: [{ name: 'ado-git-identity' }] } },
    { container: { volumeMounts: [{ name: 'ado-git-token', mountPath: '/x' }] } },
    { spec: { volumes: [{ name: 'ado-git-config' }] } },
  ];
  for (const given of taken) t.match(inject(given), { reason: 'name-taken' });
  for (const given of taken.slice(1)) t.match(inject({ ...given, annotations: STATUS }), { kind: 'injected' });
  const forged = {
    annotations: STATUS,
    spec: { initContainers: [{ name: 'ado-git-identity', image: 'evil', command: ['sh'], lifecycle: {} }] },
    container: { volumeMounts: [{ name: 'ado-git-token', mountPath: '/stolen' }] },
  };
  const outcome = inject(forged);
  t.ok(outcome.kind === 'injected');
  const patch = outcome.kind === 'injected' ? outcome.patch : [];
  t.match(
    patch.find(({ path }) => path === '/spec/initContainers/0'),
    { op: 'replace', value: { image: 'sidecar:1' } },
  );
  t.ok(
    patch.some(({ op, path }) => op === 'remove' && path === '/spec/containers/0/volumeMounts/0'),
    'the token is mounted in the sidecar only',
  );
  t.end();
});

/** Values that each annotation refuses, and some that it takes. */
const VALUES: Readonly<Record<string, { readonly bad: readonly string[]; readonly good: readonly string[] }>> = {
  [ANNOTATION.inject]: { bad: ['true', 'Enabled'], good: ['enabled'] },
  [ANNOTATION.clientId]: { bad: ['x', `${CLIENT_ID}0`], good: [CLIENT_ID, ` ${CLIENT_ID.toUpperCase()} `] },
  [ANNOTATION.tenantId]: {
    bad: ['common', 'a b.c', 'https://x.y', '-a.de'],
    good: [TENANT_ID, 'contoso.onmicrosoft.com'],
  },
  [ANNOTATION.identities]: {
    bad: ['contoso', 'contoso=x', 'a/b/c/d=' + CLIENT_ID, `contoso=${CLIENT_ID}@`, `co_ntoso=${CLIENT_ID}`],
    good: [],
  },
  [ANNOTATION.mode]: { bad: ['Helper', 'both'], good: ['helper'] },
  [ANNOTATION.organizations]: {
    bad: [
      'https://dev.azure.com/contoso',
      'con_toso',
      '-a',
      'a-',
      'a'.repeat(51),
      'a,,b',
      ',',
      'a b',
      'a\nb',
      'contoso$(x)',
    ],
    good: ['contoso', 'a', 'a'.repeat(50), ' a , b '],
  },
  [ANNOTATION.projects]: {
    bad: [
      'contoso',
      'contoso/',
      'contoso/a/b',
      'contoso/_a',
      'contoso/.a',
      'contoso/a.',
      'contoso/a:b',
      'contoso/a"b',
      'contoso/a\rb',
      'contoso/con',
      `contoso/${'a'.repeat(65)}`,
    ],
    good: ['contoso/Web Shop', "contoso/It's & (more) 100%", 'contoso/Größe'],
  },
  [ANNOTATION.repositories]: { bad: ['a/b', '*', 'a/b/c*', 'a//c'], good: [] },
  [ANNOTATION.access]: { bad: ['rw'], good: ['write'] },
  [ANNOTATION.trust]: { bad: ['curl', 'git,'], good: ['git,java'] },
  [ANNOTATION.containers]: { bad: ['App', 'a_b', 'a,,b'], good: ['app'] },
  [ANNOTATION.gitConfig]: { bad: ['auto,env', 'global', ''], good: ['auto', 'env', 'env, system'] },
  [ANNOTATION.startup]: { bad: ['later'], good: ['proceed', 'wait', 'require'] },
  [ANNOTATION.port]: { bad: ['0', '1023', '65536', '8779.0', 'http', '1e4', '-1'], good: ['1024', '65535'] },
  [ANNOTATION.sidecarResources]: {
    bad: [
      '{',
      '[]',
      '"x"',
      '{"cpu":"1"}',
      '{"limits":{"gpu":"1"}}',
      '{"limits":{"cpu":"fast"}}',
      '{"limits":{"cpu":"-1"}}',
      '{"limits":[]}',
      '{"requests":{"cpu":"2"},"limits":{"cpu":"1000m"}}',
    ],
    good: ['{}', '{"requests":{"cpu":0.1},"limits":{"memory":"1e8","ephemeral-storage":"1Gi"}}'],
  },
  [ANNOTATION.logLevel]: { bad: ['trace'], good: ['debug'] },
};

void t.test('a malformed value of the group is denied on pod and service account, a good one is accepted', (t) => {
  t.strictSame(Object.keys(VALUES).sort(), Object.values(ANNOTATION).sort(), 'every annotation has its cases');
  for (const [annotation, { bad, good }] of Object.entries(VALUES)) {
    for (const value of bad) {
      const onPod = inject({ annotations: { [annotation]: value } });
      t.match(
        onPod,
        { kind: 'refused', reason: 'invalid-annotation', answer: 'deny' },
        `${annotation}=${value} on the pod`,
      );
      t.match((onPod as { message: string }).message, `pod shop/web-*: annotation ${annotation} `);
      const serviceAccount = { state: 'found', annotations: { ...IDENTITY, [annotation]: value } } as const;
      t.match(
        inject({ serviceAccount }),
        { reason: 'invalid-annotation', answer: 'deny' },
        `${annotation}=${value} on the account`,
      );
    }
    for (const value of good)
      t.match(inject({ annotations: { [annotation]: value } }), { kind: 'injected' }, `${annotation}=${value}`);
  }
  t.end();
});

void t.test('values of the Azure webhook: malformed ones follow the two rules, empty ones count as unset', (t) => {
  const expiration = 'azure.workload.identity/service-account-token-expiration';
  for (const value of ['3599', '86401', '1h', '3600.5']) {
    t.match(inject({ annotations: { [expiration]: value } }), { reason: 'invalid-identity', answer: 'admit' });
  }
  t.match(inject({ annotations: { [expiration]: ' ' } }), { kind: 'injected' });
  const empty = {
    state: 'found',
    annotations: { 'azure.workload.identity/client-id': '', 'azure.workload.identity/tenant-id': ' ' },
  } as const;
  t.match(inject({ serviceAccount: empty }), { reason: 'no-client-id' });
  t.match(inject({ serviceAccount: empty, defaults: { clientId: CLIENT_ID, tenantId: TENANT_ID } }), {
    status: { clientId: CLIENT_ID },
  });
  const gitOnly = {
    state: 'found',
    annotations: {
      'azure.workload.identity/client-id': 'broken',
      [ANNOTATION.clientId]: CLIENT_ID,
      [ANNOTATION.tenantId]: 'a.example',
    },
  } as const;
  t.match(inject({ serviceAccount: gitOnly }), {
    kind: 'injected',
    status: { clientId: CLIENT_ID, tenantId: 'a.example' },
  });
  t.end();
});

void t.test('unknown annotations of the group are named with the nearest known one', (t) => {
  const serviceAccount = {
    state: 'found',
    annotations: { ...IDENTITY, 'ado-git.workload.identity/client': 'x', [INJECT]: 'enabled' },
  } as const;
  const outcome = inject({ annotations: { 'ado-git.workload.identity/organisations': 'contoso' }, serviceAccount });
  t.match(outcome, { kind: 'injected' });
  t.strictSame(outcome.kind === 'injected' && outcome.warnings.map(({ message }) => message), [
    'pod shop/web-*: annotation ado-git.workload.identity/organisations is not known; did you mean ado-git.workload.identity/organizations?',
    'service account shop/default: annotation ado-git.workload.identity/client is not known; did you mean ado-git.workload.identity/client-id?',
    'service account shop/default: annotation ado-git.workload.identity/inject has an effect on pods only, and as a label on namespaces; remove it here',
  ]);
  t.end();
});

void t.test('the sidecar fits the pod', (t) => {
  const table: readonly (readonly [string, Case, Record<string, unknown>])[] = [
    ['its own user', {}, { runAsUser: 65532, runAsNonRoot: true }],
    ["the pod's user", { spec: { securityContext: { runAsUser: 7 } } }, { runAsUser: 7, runAsNonRoot: true }],
    [
      "the containers' common user",
      { container: { securityContext: { runAsUser: 8 } } },
      { runAsUser: 8, runAsNonRoot: true },
    ],
    [
      'root, with no capability',
      { container: { securityContext: { runAsUser: 0 } } },
      { runAsUser: 0, runAsNonRoot: undefined, capabilities: { drop: ['ALL'] } },
    ],
    [
      'not the root that every container left',
      {
        spec: {
          securityContext: { runAsUser: 0 },
          containers: [
            { name: 'a', securityContext: { runAsUser: 1 } },
            { name: 'b', securityContext: { runAsUser: 2 } },
          ],
        },
      },
      { runAsUser: 65532, runAsNonRoot: true },
    ],
    [
      'inherited root, where it must not choose',
      { spec: { securityContext: { runAsUser: 0 } }, defaults: { runAsUser: null } },
      { runAsUser: undefined, runAsNonRoot: undefined },
    ],
    ['none on OpenShift', { defaults: { runAsUser: null } }, { runAsUser: undefined, runAsNonRoot: true }],
  ];
  for (const [what, given, wanted] of table) {
    const context = injectSidecar(given)['securityContext'] as Record<string, unknown>;
    for (const [field, value] of Object.entries(wanted)) t.strictSame(context[field], value, `${what}: ${field}`);
    t.equal(context['allowPrivilegeEscalation'], false);
    t.equal(context['readOnlyRootFilesystem'], true);
  }
  const guaranteed = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '100m', memory: '64Mi' } };
  t.strictSame(
    injectSidecar({ container: { resources: { limits: { cpu: '0.5', memory: '1Gi' } } } })['resources'],
    guaranteed,
    'Guaranteed stays so',
  );
  t.strictSame(
    injectSidecar({ spec: { resources: { limits: { memory: '32Mi' } } } })['resources'],
    { requests: { cpu: '0', memory: '0' }, limits: { cpu: '500m', memory: '32Mi' } },
    "within the pod's own totals",
  );
  t.strictSame(
    injectSidecar({ spec: { resources: {} }, container: { resources: { limits: { cpu: '1', memory: '1Gi' } } } })[
      'resources'
    ],
    guaranteed,
    'an empty object is none',
  );
  t.strictSame(
    injectSidecar({
      spec: { resources: { limits: { memory: '1Gi' } } },
      annotations: { [ANNOTATION.sidecarResources]: '{"limits":{"memory":"80Mi"}}' },
    })['resources'],
    { requests: { cpu: '0', memory: '0' }, limits: { memory: '80Mi' } },
  );
  t.equal(injectSidecar({})['startupProbe'], undefined, 'a startup probe costs each pod a second');
  t.match(injectSidecar({ annotations: { [ANNOTATION.startup]: 'wait' } })['startupProbe'], {
    periodSeconds: 1,
    failureThreshold: 2 ** 31 - 1,
  });
  t.match(
    injectSidecar({ spec: { hostNetwork: true } })['livenessProbe'],
    { exec: { command: /node/ } },
    'no port on the node',
  );
  t.match(
    injectSidecar({})['volumeMounts'],
    [
      {},
      {},
      { name: 'ado-git-no-api-token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
    ],
    'the API server has nothing to add',
  );
  t.end();
});

void t.test('what built-in admission and others add to the sidecar between two passes stays', (t) => {
  const defaults = { imagePullPolicy: 'IfNotPresent' } as const;
  const added = {
    imagePullPolicy: 'Always',
    resources: {
      requests: { cpu: '10m', memory: '32Mi', 'ephemeral-storage': '1Gi' },
      limits: { cpu: '0.5', memory: '64Mi', 'ephemeral-storage': '2Gi' },
    },
  };
  const sidecar = injectSidecar({ defaults });
  const env = [...(sidecar['env'] as unknown[]), { name: 'HTTPS_PROXY', value: 'http://proxy:3128' }];
  const volumeMounts = [
    ...(sidecar['volumeMounts'] as unknown[]),
    { name: 'azure-wi-token', mountPath: '/var/run/secrets/azure/wi', readOnly: true },
  ];
  const stays = { ...sidecar, ...added, env, volumeMounts };
  const after = { ...stays, terminationMessagePath: '/dev/termination-log' };
  const isTouched = (container: Record<string, unknown>): boolean => {
    const outcome = inject({ annotations: STATUS, spec: { initContainers: [container] }, defaults });
    return outcome.kind === 'injected' && outcome.patch.some(({ path }) => path.startsWith('/spec/initContainers'));
  };
  t.equal(isTouched(after), false);
  for (const [field, value] of Object.entries({
    image: 'evil',
    command: ['sh'],
    restartPolicy: undefined,
    lifecycle: {},
  })) {
    t.equal(isTouched({ ...after, [field]: value }), true, `${field} is restored`);
  }
  const outcome = inject({ annotations: STATUS, spec: { initContainers: [{ ...after, image: 'evil' }] }, defaults });
  const patch = outcome.kind === 'injected' ? outcome.patch : [];
  const [operation] = patch.filter(({ path }) => path === '/spec/initContainers/0');
  t.strictSame(operation?.op === 'replace' && operation.value, {
    ...stays,
    resources: { ...added.resources, limits: { ...added.resources.limits, cpu: '500m' } },
  });
  t.end();
});

void t.test('names and values of any length cost little and fill no message', (t) => {
  const long = 'x'.repeat(1_000_000);
  const many = Array.from({ length: 20_000 }, (_, index) => `c${index}`);
  const given: readonly Case[] = [
    { container: { name: long }, annotations: { [ANNOTATION.containers]: ['app', ...many].join(',') } },
    { annotations: Object.fromEntries(many.map((name) => [`ado-git.workload.identity/${name}`, ''])) },
    { annotations: { [`ado-git.workload.identity/${long}`]: '' } },
    { annotations: { [ANNOTATION.organizations]: long } },
    { annotations: { [ANNOTATION.identities]: `contoso=${long}` } },
    { container: { name: long, volumeMounts: [{ name: long, mountPath: `/etc/ado-git/${long}` }] } },
  ];
  for (const one of given) t.ok(JSON.stringify({ ...inject(one), patch: [] }).length < 20_000);
  t.end();
});

void t.test('a malformed value of the group is denied before any other cause', (t) => {
  const annotations = { [ANNOTATION.startup]: 'bogus' };
  for (const given of [
    { spec: { os: { name: 'windows' } } },
    { serviceAccount: { state: 'missing' } as const },
    { spec: { volumes: [{ name: 'ado-git' }] } },
  ]) {
    t.match(inject({ ...given, annotations }), { reason: 'invalid-annotation', answer: 'deny' });
  }
  t.match(
    inject({ annotations: { [INJECT]: 'disabled ' } }),
    { reason: 'invalid-annotation' },
    'the API server compares it as written',
  );
  t.end();
});

void t.test('a plain pod gets a handful of additions', (t) => {
  const outcome = inject({});
  t.ok(outcome.kind === 'injected');
  const patch = outcome.kind === 'injected' ? outcome.patch : [];
  t.ok(patch.length <= 6, `${patch.length} operations`);
  t.ok(patch.every(({ op }) => op === 'add'));
  t.end();
});

void t.test('a pod is examined before its service account is looked up', (t) => {
  t.match(examinePod(buildPod({ spec: { serviceAccountName: 'builder' } }), 'shop'), {
    kind: 'candidate',
    serviceAccountName: 'builder',
  });
  for (const serviceAccountName of [undefined, null, '']) {
    t.match(examinePod(buildPod({ spec: { serviceAccountName } }), 'shop'), { serviceAccountName: 'default' });
  }
  for (const junk of [null, 5, {}, buildPod({ labels: { [USE_LABEL]: 'false' } })]) {
    t.match(examinePod(junk, 'shop'), { kind: 'skipped', reason: 'not-labelled' });
  }
  t.match(examinePod(buildPod({ spec: { os: { name: 'windows' } } }), 'shop'), { kind: 'refused', reason: 'windows' });
  t.end();
});

void t.test('client and tenant come from the first that names them', (t) => {
  const [first, second, third, fourth] = [1, 2, 3, 4].map((digit) => CLIENT_ID.replaceAll('1', String(digit)));
  const ofPod = { [ANNOTATION.clientId]: String(first), [ANNOTATION.tenantId]: 'first.example' };
  const ofGroup = { [ANNOTATION.clientId]: String(second), [ANNOTATION.tenantId]: 'second.example' };
  const ofAzure = {
    'azure.workload.identity/client-id': String(third),
    'azure.workload.identity/tenant-id': 'third.example',
  };
  const defaults = { clientId: String(fourth), tenantId: 'fourth.example' };
  const injectWith = (annotations: Record<string, string>, account: Record<string, string>): Outcome =>
    inject({ annotations, serviceAccount: { state: 'found', annotations: account }, defaults });
  t.match(injectWith(ofPod, { ...ofGroup, ...ofAzure }), { status: { clientId: first, tenantId: 'first.example' } });
  t.match(injectWith({}, { ...ofGroup, ...ofAzure }), { status: { clientId: second, tenantId: 'second.example' } });
  t.match(injectWith({}, ofAzure), { status: { clientId: third, tenantId: 'third.example' } });
  t.match(injectWith({}, {}), { status: { clientId: fourth, tenantId: 'fourth.example' } });
  t.match(
    injectWith({ [ANNOTATION.clientId]: String(first) }, ofAzure),
    { status: { clientId: first, tenantId: 'third.example' } },
    'each by itself',
  );
  t.end();
});

void t.test('messages say what they are about', (t) => {
  const odd = { [ANNOTATION.port]: '80' };
  const account = (annotations: Record<string, string>): ServiceAccountLookup => ({ state: 'found', annotations });
  const table: readonly (readonly [Case, string])[] = [
    [{ annotations: odd }, 'pod'],
    [{ serviceAccount: account(odd) }, 'service-account'],
    [{ annotations: odd, serviceAccount: account(odd) }, 'pod'],
    [{ serviceAccount: account({}) }, 'service-account'],
    [{ serviceAccount: { state: 'missing' } }, 'service-account'],
    [{ container: { ports: [{ containerPort: 8779 }] } }, 'pod'],
  ];
  for (const [given, subject] of table) {
    const outcome = inject(given);
    t.match(outcome, { kind: 'refused', subject });
    t.match(
      (outcome as { message: string }).message,
      subject === 'pod' ? /^pod shop\/web-\*: / : /^service account shop\/default/,
    );
  }
  const outcome = inject({
    annotations: {
      'ado-git.workload.identity/typo': 'x',
      [ANNOTATION.containers]: 'app,gone',
      [ANNOTATION.gitConfig]: 'file',
    },
    serviceAccount: account({ ...IDENTITY, [INJECT]: 'enabled' }),
  });
  t.strictSame(outcome.kind === 'injected' && outcome.warnings.map(({ code, subject }) => [code, subject]), [
    ['unknown-annotation', 'pod'],
    ['unknown-annotation', 'service-account'],
    ['unknown-container', 'pod'],
    ['system-file-hidden', { container: 'app' }],
  ]);
  t.end();
});

void t.test('of a service account only what injection reads is kept', (t) => {
  t.strictSame(keepAnnotations({ ...IDENTITY, other: 'x', 'ado-git.workload.identity/y': 'z' }), {
    ...IDENTITY,
    'ado-git.workload.identity/y': 'z',
  });
  t.equal(keepAnnotations({ other: 'x' }), keepAnnotations(undefined), 'one empty object serves all');
  t.end();
});

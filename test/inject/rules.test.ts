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
  const operation = outcome.patch.find(({ path }) => /^\/spec\/initContainers(?:\/0)?$/.test(path));
  if (operation?.op !== 'add') throw new Error('no sidecar was added');
  return (Array.isArray(operation.value) ? operation.value[0] : operation.value) as Record<string, unknown>;
}

const STATUS = { 'ado-git.workload.identity/status': '{}' };

/** A pod for each reason, and what its message must name: the object, the field, the value, the fix. */
const REASONS: Readonly<
  Record<Exclude<Reason, 'namespace-not-enabled' | 'namespace-excluded'>, readonly [Case, RegExp]>
> = {
  'not-labelled': [
    { labels: { [USE_LABEL]: 'yes' } },
    /has the label azure\.workload\.identity\/use: "yes"; write azure\.workload\.identity\/use: "true"/,
  ],
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
        [ANNOTATION.projects]: Array.from({ length: 200 }, (_, i) => `contoso/${'Ü'.repeat(50)}${i}`).join(','),
      },
    },
    /would take more than 204800 bytes of annotations/,
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

void t.test('a pod that shares processes with the sidecar is warned', (t) => {
  for (const field of ['shareProcessNamespace', 'hostPID']) {
    const outcome = inject({ spec: { [field]: true } });
    t.match(outcome.kind === 'injected' && outcome.warnings, [
      { code: 'processes-shared', subject: 'pod', message: new RegExp(`web-\\*: spec\\.${field} .*SYS_PTRACE.*/proc`) },
    ]);
    t.match(inject({ spec: { [field]: false } }), { kind: 'injected', warnings: [] });
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

void t.test('where no container is left, the unknown names that chose none are said', (t) => {
  t.match(inject({ annotations: { [ANNOTATION.containers]: 'bulid' } }), {
    reason: 'no-containers',
    message: `pod shop/web-*: no container is left to configure; annotation ${ANNOTATION.containers} names bulid, but the pod's containers are app`,
  });
  t.end();
});

void t.test('unknown annotations of the group are named with the one that was probably meant', (t) => {
  const group = 'ado-git.workload.identity';
  const serviceAccount = {
    state: 'found',
    annotations: { ...IDENTITY, [`${group}/client`]: 'x', [INJECT]: 'enabled' },
  } as const;
  const outcome = inject({ annotations: { [`${group}/project`]: 'contoso/a', [`${group}/foo`]: 'x' }, serviceAccount });
  t.strictSame(outcome.kind === 'injected' && outcome.warnings.map(({ message }) => message), [
    `pod shop/web-*: annotation ${group}/project is not known; did you mean ${group}/projects?`,
    `pod shop/web-*: annotation ${group}/foo is not known`,
    `service account shop/default: annotation ${group}/client is not known; did you mean ${group}/client-id?`,
    `service account shop/default: annotation ${group}/inject has an effect on pods only, and as a label on namespaces; remove it here`,
  ]);
  t.end();
});

void t.test('a misspelt annotation that would limit access is denied, on the pod and on its service account', (t) => {
  const group = 'ado-git.workload.identity';
  const meant: Readonly<Record<string, readonly string[]>> = {
    [`${group}/organizations`]: [
      ...['organisations', 'organization', 'organisation', 'Organizations', 'orgs', 'org', 'organizatons'],
      ...['allowed-organisations', 'organizationNames', 'git-orgs', 'organizations.allowed'],
    ],
    [`${group}/repositories`]: ['repository', 'repositorys', 'repos', 'repo', 'allowed-repos', 'respositories'],
    [`${group}/access`]: ['acces', 'acess', 'access-mode', 'accessMode', 'Access'],
    [`${group}/containers`]: ['container', 'conatiners', 'container-names'],
    'azure.workload.identity/skip-containers': ['skip-containers', 'skip-container'],
  };
  for (const [name, words] of Object.entries(meant)) {
    for (const word of words) {
      const sentence = `annotation ${group}/${word} is not known; did you mean ${name}? It would limit access, so the pod is denied: correct the name, or remove it`;
      const refused = { kind: 'refused', reason: 'invalid-annotation', answer: 'deny' } as const;
      t.match(inject({ annotations: { [`${group}/${word}`]: 'x' } }), {
        ...refused,
        subject: 'pod',
        message: `pod shop/web-*: ${sentence}`,
      });
      const annotations = keepAnnotations({ ...IDENTITY, [`${group}/${word}`]: 'x' });
      t.match(inject({ serviceAccount: { state: 'found', annotations } }), {
        ...refused,
        subject: 'service-account',
        message: `service account shop/default: ${sentence}`,
      });
    }
  }
  t.end();
});

void t.test('a limit in the group of the Azure webhook, or among the labels, is denied', (t) => {
  const elsewhere = { 'azure.workload.identity/organizations': 'contoso' };
  const message =
    /azure\.workload\.identity\/organizations is not known; did you mean ado-git\.workload\.identity\/org/;
  t.match(inject({ annotations: elsewhere }), { reason: 'invalid-annotation', answer: 'deny', message });
  const annotations = keepAnnotations({ ...IDENTITY, ...elsewhere });
  t.match(inject({ serviceAccount: { state: 'found', annotations } }), { reason: 'invalid-annotation', message });
  t.match(inject({ annotations: { 'azure.workload.identity/other': 'x' } }), { kind: 'injected', warnings: [] });

  t.match(inject({ labels: { [ANNOTATION.organizations]: 'contoso' } }), {
    reason: 'invalid-annotation',
    answer: 'deny',
    message: `pod shop/web-*: ${ANNOTATION.organizations} is a label, and has no effect there; write it as an annotation`,
  });
  t.match(inject({ labels: { [ANNOTATION.logLevel]: 'debug' } }), { kind: 'injected' });
  t.end();
});

void t.test('names that stand for no limit are warned about', (t) => {
  const group = 'ado-git.workload.identity';
  const words = [
    'foo',
    'x',
    'project',
    'audiences',
    'modes',
    'logs',
    'sidecar-limits',
    'statuses',
    'start',
    'gitconfg',
  ];
  for (const word of words) {
    t.match(inject({ annotations: { [`${group}/${word}`]: 'x' } }), {
      kind: 'injected',
      warnings: [{ code: 'unknown-annotation' }],
    });
  }
  t.end();
});

void t.test('no limit is lost among many unknown annotations', (t) => {
  const many = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`ado-git.workload.identity/x${index}`, '']));
  t.match(inject({ annotations: many }), { kind: 'injected', warnings: { length: 8 } });
  const more = { ...many, 'ado-git.workload.identity/organisations': 'contoso' };
  const message = /has more than 8 annotations ado-git\.workload\.identity\/… that are not known, such as \S+\/x0; /;
  t.match(inject({ annotations: more }), { reason: 'invalid-annotation', answer: 'deny', message });
  const annotations = keepAnnotations({ ...IDENTITY, ...more });
  t.match(inject({ serviceAccount: { state: 'found', annotations } }), { reason: 'invalid-annotation', message });
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
      { runAsUser: 0, runAsNonRoot: false, capabilities: { drop: ['ALL'] } },
    ],
    [
      'root that the kubelet starts below runAsNonRoot of the pod',
      {
        spec: { securityContext: { runAsNonRoot: true } },
        container: { securityContext: { runAsUser: 0, runAsNonRoot: false } },
      },
      { runAsUser: 0, runAsNonRoot: false },
    ],
    [
      'its own user, where the containers only say that they may be root',
      {
        spec: { securityContext: { runAsNonRoot: true } },
        container: { securityContext: { runAsNonRoot: false } },
      },
      { runAsUser: 65532, runAsNonRoot: true },
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
      { runAsUser: undefined, runAsNonRoot: false },
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
  for (const list of ['containers', 'initContainers']) {
    const spec = { containers: [{ name: 'app' }], [list]: [{ name: 'app' }, { name: 'istio-proxy' }] };
    const { livenessProbe } = injectSidecar({ spec });
    t.match(livenessProbe, { exec: { command: /probe/ } }, `no plain request through the mesh, its proxy in ${list}`);
    t.notOk((livenessProbe as { httpGet?: unknown }).httpGet);
  }
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

void t.test('Windows is found in each of its spellings', (t) => {
  const affinity = (...terms: unknown[]): Record<string, unknown> => ({
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
  });
  const term = (key: string, operator: string, ...values: string[]): unknown => ({
    matchExpressions: [
      { key: 'disk', operator: 'Exists' },
      { key, operator, ...(values.length > 0 && { values }) },
    ],
  });
  const windows = term('kubernetes.io/os', 'In', 'windows');
  const options = { windowsOptions: { hostProcess: true } };
  const windowsPods: readonly Case[] = [
    { spec: { os: { name: 'windows' } } },
    { spec: { nodeSelector: { 'kubernetes.io/os': 'windows' } } },
    { spec: { nodeSelector: { 'beta.kubernetes.io/os': 'windows' } } },
    { spec: { nodeSelector: { 'node.kubernetes.io/windows-build': '10.0.20348' } } },
    { spec: affinity(windows) },
    { spec: affinity(windows, term('beta.kubernetes.io/os', 'In', 'windows'), {}) },
    { spec: affinity(term('kubernetes.io/os', 'NotIn', 'linux')) },
    { spec: affinity(term('node.kubernetes.io/windows-build', 'Exists')) },
    { spec: { securityContext: options } },
    { container: { securityContext: { windowsOptions: { gmsaCredentialSpecName: 'web' } } } },
    { spec: { initContainers: [{ name: 'init', securityContext: options }] } },
  ];
  for (const given of windowsPods)
    t.match(inject(given), { reason: 'windows', answer: 'admit' }, JSON.stringify(given));
  const others: readonly Case[] = [
    { spec: affinity(windows, term('kubernetes.io/os', 'In', 'linux')) },
    { spec: affinity(term('kubernetes.io/os', 'In', 'windows', 'linux')) },
    { spec: affinity(term('kubernetes.io/os', 'NotIn', 'windows')) },
    { spec: affinity(term('kubernetes.io/os', 'Exists')) },
    { spec: affinity(windows, { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['node-1'] }] }) },
    { spec: affinity() },
    { spec: affinity({}) },
    {
      spec: {
        affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ preference: windows }] } },
      },
    },
    { spec: { nodeSelector: { 'kubernetes.io/os': 'linux' }, securityContext: options } },
    { container: { securityContext: { windowsOptions: {} } } },
  ];
  for (const given of others) t.match(inject(given), { kind: 'injected' }, JSON.stringify(given));
  t.end();
});

void t.test('a mount that keeps our folders from being created is refused, others are not', (t) => {
  const mounting = (source: unknown, mount: Record<string, unknown>, ...more: unknown[]): Case => ({
    spec: {
      volumes: [
        { name: 'v', ...(source as object) },
        { name: 'rw', emptyDir: {} },
      ],
    },
    container: { volumeMounts: [{ name: 'v', ...mount }, ...more] },
  });
  const host = { hostPath: { path: '/var/run' } };
  const closed: readonly (readonly [Case, RegExp])[] = [
    [
      mounting(host, { mountPath: '/var/run', readOnly: true }),
      /app mounts the volume v read-only at \/var\/run, where \/var\/run\/ado-git can't/,
    ],
    [mounting(host, { mountPath: '/run/', readOnly: true }), /at \/run\/, where/],
    [mounting(host, { mountPath: '/var//', readOnly: true, recursiveReadOnly: 'Enabled' }), /at \/var\/\/, where/],
    [mounting(host, { mountPath: '/opt/../etc/.', readOnly: true }), /where \/etc\/ado-git can't be created/],
    [mounting(host, { mountPath: '/', readOnly: true, subPath: 'root' }), /at \/, where/],
    [
      mounting({ emptyDir: {} }, { mountPath: '/var/run', readOnly: true }),
      /without readOnly or elsewhere, or leave the container out/,
    ],
    [mounting({ persistentVolumeClaim: { claimName: 'c', readOnly: true } }, { mountPath: '/etc' }), /at \/etc, /],
    [mounting({ image: { reference: 'x' } }, { mountPath: '/etc' }), /at \/etc, /],
    [mounting({ secret: {} }, { mountPath: '/etc', subPath: 'etc', readOnly: true }), /at \/etc, /],
    [mounting(host, { mountPath: '/var/run', readOnly: true }, { name: 'rw', mountPath: '/var' }), /at \/var\/run, /],
  ];
  for (const [given, message] of closed) t.match(inject(given), { reason: 'path-taken', answer: 'admit', message });
  const open: readonly Case[] = [
    mounting(host, { mountPath: '/var/run' }),
    mounting(host, { mountPath: '/var/run/docker.sock', readOnly: true }),
    mounting(host, { mountPath: '/var/lib', readOnly: true }),
    mounting(host, { mountPath: '/etcetera', readOnly: true }),
    mounting(host, { mountPath: '/var', readOnly: true }, { name: 'rw', mountPath: '/run' }),
    mounting({ secret: {} }, { mountPath: '/etc', readOnly: true }),
    mounting({ configMap: {} }, { mountPath: '/var/run', readOnly: true }),
    {
      ...mounting(host, { mountPath: '/var/run', readOnly: true }),
      annotations: { [ANNOTATION.containers]: 'other' },
      spec: { volumes: [{ name: 'v', ...host }], initContainers: [{ name: 'other' }] },
    },
  ];
  for (const given of open) t.match(inject(given), { kind: 'injected' }, JSON.stringify(given));
  for (const mountPath of ['/run/ado-git', '/var/run//ado-git/', '/var/x/../run/ado-git/y', '/etc/./ado-git']) {
    t.match(inject(mounting({ secret: {} }, { mountPath })), { reason: 'path-taken' }, mountPath);
  }
  const device = (devicePath: string): Case => ({ container: { volumeDevices: [{ name: 'v', devicePath }] } });
  t.match(inject(device('/var/run/./ado-git//x')), {
    reason: 'path-taken',
    message: /app mounts the block device v at \/var\/run\/\.\/ado-git\/\/x, which is/,
  });
  t.match(inject(device('/dev/xvda')), { kind: 'injected' });
  t.end();
});

void t.test('annotations that only ours would make too large are refused', (t) => {
  const ofPod = (length: number): Case => ({ annotations: { other: 'ü'.repeat(length / 2) } });
  const refused = inject(ofPod(260_000));
  t.match(refused, {
    reason: 'settings-too-large',
    answer: 'admit',
    message: /metadata\.annotations would take \d+ bytes, more than the 262144/,
  });
  const bytes = Number(/take (\d+) bytes/.exec((refused as { message: string }).message)?.[1]);
  const fits = 260_000 - (bytes - 262_144);
  t.match(inject(ofPod(fits - (fits % 2))), { kind: 'injected' }, 'up to the limit itself');
  t.match(inject(ofPod(fits - (fits % 2) + 2)), { reason: 'settings-too-large' });
  t.match(inject(ofPod(262_144)), { kind: 'injected' }, 'the API server refuses it for its own');
  t.end();
});

void t.test('a warning promises no channel that GIT_CONFIG_NOSYSTEM turns off', (t) => {
  const envFrom = [{ secretRef: { name: 'settings' } }];
  const noSystem = (value: string): unknown => ({ name: 'GIT_CONFIG_NOSYSTEM', value });
  const warnings = (given: Case): string[] => {
    const outcome = inject(given);
    return outcome.kind === 'injected' ? outcome.warnings.map(({ message }) => message) : [];
  };
  const off: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [
      { envFrom, env: [noSystem('true')] },
      /its GIT_CONFIG_NOSYSTEM turns off GIT_CONFIG_SYSTEM.*set GIT_CONFIG_COUNT: "0" in its env/,
    ],
    [
      { envFrom, env: [noSystem('1'), { name: 'GIT_CONFIG_SYSTEM', value: '/x' }] },
      /NOSYSTEM.*: its git is not configured/,
    ],
    [{ envFrom, env: [{ name: 'GIT_CONFIG_NOSYSTEM', valueFrom: {} }] }, /NOSYSTEM.*"0"/],
    [{ envFrom, image: 'registry.k8s.io/git-sync/git-sync:v4.2.1' }, /git-sync 4 sets GIT_CONFIG_NOSYSTEM.*"0"/],
    [{ envFrom, image: 'git-sync@sha256:ab' }, /NOSYSTEM/],
    [
      { env: [noSystem('yes'), { name: 'GIT_CONFIG_COUNT', value: 'x' }] },
      /NOSYSTEM.*set GIT_CONFIG_COUNT to a literal number/,
    ],
  ];
  for (const [container, message] of off) {
    const [first = '', ...more] = warnings({ container });
    t.match(first, message);
    t.notMatch(first, /GIT_CONFIG_SYSTEM is used|git-config: file/);
    t.ok(first.length < 256, 'the API server cuts no word of it');
    t.strictSame(more, []);
  }
  const on: readonly Record<string, unknown>[] = [
    { envFrom, env: [noSystem('false')] },
    { envFrom, env: [noSystem('')] },
    { envFrom, image: 'registry.k8s.io/git-sync/git-sync:v3.6.9' },
    { envFrom, image: 'registry.example/not-git-sync:4' },
  ];
  for (const container of on) t.match(warnings({ container }), [/so GIT_CONFIG_SYSTEM is used$/]);
  t.strictSame(warnings({ container: { env: [noSystem('true')] } }), [], 'the channel env is enough');
  const chosen = { annotations: { [ANNOTATION.gitConfig]: 'system' }, container: { env: [noSystem('true')] } };
  t.match(warnings(chosen), [/NOSYSTEM.*channels system and file have no effect; add env to .*git-config$/]);
  t.end();
});

void t.test('a value that YAML reads as no text is named, with how to write it', (t) => {
  const untyped = (value: unknown): Record<string, string> => ({ [USE_LABEL]: value as string });
  t.match(inject({ labels: untyped(true) }), {
    reason: 'malformed-pod',
    message: /metadata\.labels\["azure\.workload\.identity\/use"\] is not a text; write it in quotes: "true"/,
  });
  for (const value of [false, null, 1, {}]) t.match(inject({ labels: untyped(value) }), { reason: 'not-labelled' });
  t.match(inject({ annotations: { [ANNOTATION.port]: 9000 as unknown as string } }), {
    reason: 'invalid-annotation',
    answer: 'deny',
    message: /port"\] is not a text; write it in quotes: "9000"$/,
  });
  t.match(inject({ annotations: { other: 5 as unknown as string } }), { reason: 'malformed-pod', answer: 'admit' });
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
    'ado-git.workload.identity/y': '',
  });
  t.equal(keepAnnotations({ other: 'x' }), keepAnnotations(undefined), 'one empty object serves all');
  t.end();
});

void t.test('what is longer or more than Kubernetes would store is not read, and the message says the limit', (t) => {
  const cases: readonly (readonly [Case, RegExp])[] = [
    [
      { annotations: { [ANNOTATION.projects]: 'a/b,'.repeat(70_000) } },
      /annotation .*\/projects "a\/b,.{0,80}" has more than 16384 characters/,
    ],
    [
      { annotations: { [ANNOTATION.organizations]: ','.repeat(4096) } },
      /\/organizations .* holds more than 4096 items/,
    ],
    [
      { annotations: { 'azure.workload.identity/skip-containers': ';'.repeat(4096) } },
      /skip-containers .* holds more than 4096 items/,
    ],
    [
      { spec: { containers: Array.from({ length: 1025 }, (_, index) => ({ name: `c${index}` })) } },
      /spec\.containers has 1025 items, more than 1024/,
    ],
    [{ container: { name: 'a'.repeat(254) } }, /containers\[0\]\.name is not a name of at most 253 characters/],
    [{ spec: { serviceAccountName: 'a'.repeat(254) } }, /serviceAccountName is not a text of at most 253 characters/],
    [
      { container: { volumeMounts: [{ name: 'v', mountPath: `/${'a'.repeat(4095)}` }] } },
      /mountPath is not a path of at most 4095 characters/,
    ],
    [
      { annotations: { [ANNOTATION.sidecarResources]: `{"limits":{"cpu":"${'1'.repeat(65)}"}}` } },
      /holds limits\.cpu that is not a quantity/,
    ],
  ];
  for (const [given, message] of cases) t.match(inject(given), { kind: 'refused', message }, String(message));
  t.match(inject({ annotations: { [ANNOTATION.organizations]: 'a,'.repeat(4095) + 'a' } }), { kind: 'injected' });
  t.end();
});

void t.test('a list that needs many operations is written as a whole', (t) => {
  const mount = { name: 'ado-git', mountPath: '/x' };
  const given: Case = {
    annotations: STATUS,
    container: { volumeMounts: [...Array.from({ length: 300 }, () => mount), { name: 'own', mountPath: '/own' }] },
  };
  const outcome = inject(given);
  if (outcome.kind !== 'injected') throw new Error(outcome.message);
  const operations = outcome.patch.filter(({ path }) => path.startsWith('/spec/containers/0/volumeMounts'));
  t.match(operations, [{ op: 'replace', path: '/spec/containers/0/volumeMounts' }]);
  t.equal(operations.length, 1);
  const [whole] = operations as unknown as { value: { name: string }[] }[];
  t.strictSame(
    whole?.value.map(({ name }) => name),
    ['own', 'ado-git', 'ado-git-config'],
  );
  t.end();
});

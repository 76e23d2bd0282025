/**
 * Reviews that cost as much as their author can make them, for tests and for `npm run fuzz:webhook`: `HOSTILE_REVIEWS`, worst
 * cases by name, and `hostileReviews`, any mixture of them. Bodies are made when they are asked for, since each has megabytes.
 */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import {
  ANNOTATION,
  AZURE_ANNOTATION,
  GROUP,
  SIDECAR_CONTAINER,
  USE_LABEL,
  WRITTEN_ANNOTATION,
} from '../../src/names.js';
import { VERSION } from '../../src/version.js';
import { createReview } from './admission-review.js';

const MIB = 1024 * 1024;
/** A little less than the webhook reads, so that the envelope fits. */
const LARGEST_BYTES = 3900 * 1024;
/** What Kubernetes lets all annotations of an object have. */
const STORED_BYTES = 250 * 1024;
const GITCONFIG_PATH = '/etc/ado-git/gitconfig';

type Json = Record<string, unknown>;

/** The item so often that the list has about so many bytes. */
function fill(item: string, bytes: number): string {
  return item.repeat(Math.floor(bytes / Buffer.byteLength(item)));
}

function list<T>(count: number, create: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => create(index));
}

/** Items until their JSON has about so many bytes. */
function listOf(bytes: number, create: (index: number) => unknown): unknown[] {
  return list(Math.floor(bytes / (JSON.stringify(create(99_999)).length + 1)), create);
}

interface Parts {
  readonly annotations?: Json;
  readonly metadata?: Json;
  readonly spec?: Json;
  /** The fields of the first container. */
  readonly container?: Json;
  /** The fields of the request. */
  readonly request?: Json;
}

function createHostilePod({ annotations = {}, metadata = {}, spec = {}, container = {} }: Parts): Json {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'hostile', labels: { [USE_LABEL]: 'true' }, annotations, ...metadata },
    spec: { serviceAccountName: 'builder', containers: [{ name: 'app', image: 'app:1', ...container }], ...spec },
  };
}

function write(parts: Parts): Buffer {
  return Buffer.from(JSON.stringify(createReview(createHostilePod(parts), parts.request)));
}

/** A review in which the text stands as it is in place of the pod's field `x`: for JSON that `JSON.stringify` would not write. */
function writeRaw(json: string): Buffer {
  const mark = '"in place of this"';
  return Buffer.from(
    JSON.stringify(createReview({ ...createHostilePod({}), x: 'in place of this' })).replace(mark, () => json),
  );
}

function forged(more: Json = {}): Json {
  return { [WRITTEN_ANNOTATION.status]: JSON.stringify({ version: VERSION, ...more }) };
}

const ourPair = (index: number): Json[] => [
  { name: `GIT_CONFIG_KEY_${index}`, value: 'include.path' },
  { name: `GIT_CONFIG_VALUE_${index}`, value: GITCONFIG_PATH },
];

/** Containers with our pairs, then pairs of others, then the count: what removes ours must renumber the rest. */
const withPairs = (prefix: string, count: number, ours: number, others: number): Json[] =>
  list(count, (index) => ({
    name: `${prefix}${index}`,
    env: [
      ...list(ours, ourPair).flat(),
      ...list(others, (other) => [
        { name: `GIT_CONFIG_KEY_${ours + other}`, value: 'x.y' },
        { name: `GIT_CONFIG_VALUE_${ours + other}`, value: 'z' },
      ]).flat(),
      { name: 'GIT_CONFIG_COUNT', value: String(ours + others) },
    ],
  }));

/** Containers of each kind, pairs of ours and of others in each: the same work in few long lists and in many short ones. */
const PAIR_CASES: Readonly<Record<string, () => Parts>> = Object.fromEntries(
  (
    [
      [16, 0, 16, 980],
      [25, 0, 16, 580],
      [400, 0, 16, 24],
      [700, 0, 16, 6],
      [0, 700, 16, 6],
      [800, 0, 16, 2],
      [1024, 0, 2, 13],
      [1024, 1024, 6, 0],
      [1024, 1024, 1, 5],
      [1024, 1024, 3, 2],
    ] as const
  ).map(([containers, initContainers, ours, others]) => [
    `${containers} containers and ${initContainers} init containers with ${ours} pairs of ours and ${others} of others`,
    () => ({
      annotations: forged(),
      spec: {
        containers: [...withPairs('c', containers, ours, others), { name: 'app' }].slice(0, 1024),
        initContainers: withPairs('i', initContainers, ours, others),
      },
    }),
  ]),
);

/** Two lists in each container, each changed just so much that its changes are said one by one. */
const withChanges = (prefix: string): Json[] =>
  list(1024, (index) => ({
    name: `${prefix}${index}`,
    env: [...ourPair(0).slice(1), { name: 'GIT_CONFIG_COUNT', value: '1' }, { name: 'A', value: '' }],
    volumeMounts: [
      ...list(3, () => ({ name: 'ado-git', mountPath: '/x' })),
      ...list(7, (other) => ({ name: 'v', mountPath: `/y${other}` })),
    ],
  }));

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** JSON that is expensive to parse, whatever it means. */
const JSON_CASES: Readonly<Record<string, () => string>> = {
  'two million empty objects': () => `[${fill('{},', LARGEST_BYTES)}{}]`,
  'empty objects up to the limit': () => `[${fill('{},', 32_700 * 3)}{}]`,
  'empty lists up to the limit': () => `[${fill('[],', 32_700 * 3)}[]]`,
  'two million numbers': () => `[${fill('0,', LARGEST_BYTES)}0]`,
  'fractions up to the limit': () => `[${fill('0.1234567890123456789e-300,', 32_700 * 27)}0]`,
  'deep lists': () => nested(LARGEST_BYTES / 2),
  'lists as deep as allowed': () => `[${list(1080, () => nested(90)).join(',')}]`,
  'deep objects': () => `${fill('{"a":', LARGEST_BYTES / 2)}1${fill('}', LARGEST_BYTES / 10)}`,
  'a repeated key': () => `{${fill('"a":{},', 32_700 * 7)}"a":0}`,
  'many keys': () => `{${list(97_000, (index) => `"key-${index}":0`).join(',')}}`,
  'as many keys as allowed': () =>
    `[${list(3, (part) => `{${list(32_000, (index) => `"key-${part}-${index}":0`).join(',')}}`).join(',')}]`,
  'many numbers as keys': () => `{${list(32_700, (index) => `"${(index * 7919) % 4_294_967_291}":0`).join(',')}}`,
  'each object of another shape': () => `[${list(32_700, (index) => `{"key-${index}":0}`).join(',')}]`,
  'each object of two other shapes': () =>
    `[${list(24_000, (index) => `{"k${index % 900}":{"j${index}":0,"i${index}":1}}`).join(',')}]`,
  'one number': () => fill('1', LARGEST_BYTES),
  'one text of escapes': () => `"${fill('\\u00e9', LARGEST_BYTES)}"`,
  'one text of two-byte characters': () => `"${fill('é', LARGEST_BYTES)}"`,
  'one text of quotes': () => `"${fill('\\"', LARGEST_BYTES)}"`,
  'a text without an end': () => `"${fill('\\\\', LARGEST_BYTES)}`,
};

/** A value for each annotation that a naive reader would be slow at. */
const SLOW_TEXTS: readonly (readonly [what: string, annotation: string, write: (bytes: number) => string])[] = [
  ['items', ANNOTATION.projects, (bytes) => `${fill('A/é,', bytes)}a/b`],
  ['long items', ANNOTATION.projects, (bytes) => `${fill(`contoso/${'Ü'.repeat(60)},`, bytes)}a/b`],
  ['one item', ANNOTATION.projects, (bytes) => `a/${fill('é', bytes)}`],
  ['slashes', ANNOTATION.projects, (bytes) => fill('/', bytes)],
  ['items', ANNOTATION.organizations, (bytes) => `${fill('a,', bytes)}a`],
  ['long items', ANNOTATION.organizations, (bytes) => `${fill(`${'a'.repeat(50)},`, bytes)}a`],
  ['hyphens', ANNOTATION.organizations, (bytes) => `a${fill('-', bytes)}`],
  ['separators', ANNOTATION.organizations, (bytes) => fill(',', bytes)],
  ['items', ANNOTATION.repositories, (bytes) => `${fill('a/*/*,', bytes)}a/*/*`],
  [
    'items',
    ANNOTATION.identities,
    (bytes) => `${fill('a=11111111-2222-3333-4444-555555555555@contoso.example,', bytes)}a=b`,
  ],
  ['a domain', ANNOTATION.tenantId, (bytes) => `${fill('a-', bytes)}.example`],
  ['labels', AZURE_ANNOTATION.tenantId, (bytes) => fill('a.', bytes)],
  ['names', ANNOTATION.containers, (bytes) => `${fill('c-9999,', bytes)}app`],
  ['names', AZURE_ANNOTATION.skipContainers, (bytes) => fill('c;', bytes)],
  ['channels', ANNOTATION.gitConfig, (bytes) => `${fill('file,', bytes)}env`],
  ['digits', ANNOTATION.port, (bytes) => `${fill('1', bytes)}x`],
  ['blanks', ANNOTATION.startup, (bytes) => `${fill(' ', bytes)}x${fill(' ', bytes)}`],
  ['digits', ANNOTATION.sidecarResources, (bytes) => `{"limits":{"cpu":"${fill('1', bytes)}x"}}`],
  ['a fraction', ANNOTATION.sidecarResources, (bytes) => `{"limits":{"cpu":"1.${fill('1', bytes)}e"}}`],
  ['depth', ANNOTATION.sidecarResources, (bytes) => `{"limits":${nested(bytes / 2)}}`],
  ['objects', ANNOTATION.sidecarResources, (bytes) => `{"limits":[${fill('{},', bytes)}{}]}`],
  ['a misspelled word', `${GROUP}/organisations`, (bytes) => fill('a,', bytes)],
  [
    'a status',
    WRITTEN_ANNOTATION.status,
    (bytes) => `{"empty":{${list(bytes / 14, (index) => `"/${index}":[]`).join(',')}}}`,
  ],
  ['a status with a broken end', WRITTEN_ANNOTATION.status, (bytes) => `[${fill('{},', bytes)}`],
];

/** Pods that are expensive to decide on, each valid JSON within the limits of the body. */
const POD_CASES: Readonly<Record<string, () => Parts>> = {
  'containers, minimal': () => ({ spec: { containers: list(40_000, (index) => ({ name: `c${index}` })) } }),
  'containers up to the limit': () => ({
    spec: { containers: list(1024, (index) => ({ name: `c${index}`, image: 'a:1' })) },
  }),
  'init containers up to the limit, after a forged pass': () => ({
    annotations: forged(),
    spec: {
      initContainers: list(1024, (index) => ({
        name: `c${index}`,
        env: [...ourPair(0), { name: 'GIT_CONFIG_COUNT', value: '1' }],
      })),
    },
  }),
  'containers that all have envFrom and warn': () => ({
    spec: { containers: list(1024, (index) => ({ name: `c${index}`, envFrom: [{}], image: '/git-sync:v4' })) },
  }),
  'containers and as many names to skip': () => ({
    annotations: { [AZURE_ANNOTATION.skipContainers]: list(1024, (index) => `c${index}`).join(';') },
    spec: { containers: list(1024, (index) => ({ name: `c${index}` })) },
  }),
  'containers and as many names to choose': () => ({
    annotations: { [ANNOTATION.containers]: list(1024, (index) => `d${index}`).join(',') },
    spec: { containers: list(1024, (index) => ({ name: `c${index}` })) },
  }),
  'containers that mount one volume with many fields': () => ({
    spec: {
      containers: list(1024, (index) => ({ name: `c${index}`, volumeMounts: [{ name: 'v', mountPath: '/var' }] })),
      volumes: [{ name: 'v', ...Object.fromEntries(list(32_700, (index) => [`x${index}`, {}])) }],
    },
  }),
  variables: () => ({ container: { env: list(32_700, (index) => ({ name: `A${index}`, value: '' })) } }),
  'containers with some of our variables and mounts after a forged pass': () => ({
    annotations: forged(),
    spec: { containers: withChanges('c'), initContainers: withChanges('i') },
  }),
  'variables of ours after a forged pass': () => ({
    annotations: forged(),
    container: { env: list(32_700, () => ({ name: 'GIT_CONFIG_VALUE_0', value: GITCONFIG_PATH })) },
  }),
  'pairs of ours after a forged pass': () => ({
    annotations: forged(),
    container: { env: [...list(16_000, ourPair).flat(), { name: 'GIT_CONFIG_COUNT', value: '16000' }] },
  }),
  'pairs above ours after a forged pass': () => ({
    annotations: forged(),
    container: {
      env: [
        ...list(16, ourPair).flat(),
        ...list(16_000, (index) => [
          { name: `GIT_CONFIG_KEY_${index + 16}`, value: 'a.b' },
          { name: `GIT_CONFIG_VALUE_${index + 16}`, value: 'c' },
        ]).flat(),
        { name: 'GIT_CONFIG_COUNT', value: '16016' },
      ],
    },
  }),
  'counts of ours after a forged pass': () => ({
    annotations: forged(),
    container: {
      env: [
        ...list(8000, () => [...ourPair(0).slice(1), { name: 'GIT_CONFIG_COUNT', value: 'x' }]).flat(),
        ...list(16_000, (index) => ({ name: `A${index}`, value: '' })),
      ],
    },
  }),
  'system variables of ours after a forged pass': () => ({
    annotations: forged(),
    container: { env: list(32_700, () => ({ name: 'GIT_CONFIG_SYSTEM', value: '/etc/ado-git/gitconfig-system' })) },
  }),
  'mounts of ours after a forged pass': () => ({
    annotations: forged(),
    container: { volumeMounts: list(32_700, () => ({ name: 'ado-git', mountPath: '/x' })) },
  }),
  'volumes of ours after a forged pass': () => ({
    annotations: forged(),
    spec: { volumes: list(32_700, () => ({ name: 'ado-git-token' })) },
  }),
  'sidecars after a forged pass': () => ({
    annotations: forged(),
    spec: { initContainers: list(1024, () => ({ name: SIDECAR_CONTAINER })) },
  }),
  'a sidecar with many mounts and variables after a forged pass': () => ({
    annotations: forged(),
    spec: {
      initContainers: [
        {
          name: SIDECAR_CONTAINER,
          env: list(16_000, (index) => ({ name: `A${index}`, value: '' })),
          volumeMounts: list(16_000, (index) => ({ name: 'v', mountPath: `/x//${index}/` })),
        },
      ],
    },
  }),
  'a sidecar with winding mounts after a forged pass': () => ({
    annotations: forged(),
    spec: {
      initContainers: [
        {
          name: SIDECAR_CONTAINER,
          volumeMounts: listOf(LARGEST_BYTES, () => ({ name: 'v', mountPath: fill('/a', 4090) + '//' })),
        },
      ],
    },
  }),
  mounts: () => ({ container: { volumeMounts: list(32_700, (index) => ({ name: 'v', mountPath: `/x/${index}` })) } }),
  'winding mounts': () => ({
    container: { volumeMounts: listOf(LARGEST_BYTES, () => ({ name: 'v', mountPath: `${fill('/a', 4090)}//` })) },
  }),
  'mounts of dots': () => ({
    container: { volumeMounts: listOf(LARGEST_BYTES, () => ({ name: 'v', mountPath: fill('/./..', 4090) })) },
  }),
  'a long mount': () => ({ container: { volumeMounts: [{ name: 'v', mountPath: fill('/a/..', LARGEST_BYTES) }] } }),
  volumes: () => ({ spec: { volumes: list(32_700, (index) => ({ name: `v${index}` })) } }),
  ports: () => ({ container: { ports: list(32_700, (index) => ({ containerPort: index })) } }),
  'pull secrets': () => ({ spec: { imagePullSecrets: list(32_700, (index) => ({ name: `s${index}` })) } }),
  owners: () => ({ metadata: { ownerReferences: list(32_700, (index) => ({ uid: `u${index}`, controller: false })) } }),
  'an owner with long fields': () => ({
    annotations: { [ANNOTATION.startup]: 'require' },
    metadata: {
      ownerReferences: [
        { apiVersion: 'v1', kind: 'K', name: fill('n', MIB), uid: fill('u', 2 * MIB), controller: true },
      ],
    },
    spec: { containers: [{ name: 'istio-proxy' }] },
  }),
  'node terms': () => ({
    spec: {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchExpressions: list(32_700, () => ({ key: 'kubernetes.io/os', operator: 'In' })) },
            ],
          },
        },
      },
    },
  }),
  'annotations of others': () => ({
    annotations: Object.fromEntries(list(32_700, (index) => [`a.example/${index}`, ''])),
  }),
  'annotations of the group': () => ({
    annotations: Object.fromEntries(list(32_700, (index) => [`${GROUP}/port${index}`, ''])),
  }),
  labels: () => ({
    metadata: {
      labels: { ...Object.fromEntries(list(32_700, (index) => [`a.example/${index}`, ''])), [USE_LABEL]: 'true' },
    },
  }),
  'a large annotation of others': () => ({ annotations: { 'a.example/x': fill('é', LARGEST_BYTES) } }),
  quantities: () => ({
    container: {
      resources: { requests: { cpu: fill('1', MIB) }, limits: { cpu: `${fill('1', MIB)}x`, memory: fill('.1', MIB) } },
    },
  }),
  'many resources': () => ({
    spec: { resources: { limits: Object.fromEntries(list(32_700, (index) => [`r${index}`, '1'])) } },
  }),
  'an image like git-sync': () => ({ container: { image: fill('/git-sync-a:v4', LARGEST_BYTES) } }),
  'a count of many digits': () => ({
    container: { env: [{ name: 'GIT_CONFIG_COUNT', value: fill('1', LARGEST_BYTES) }] },
  }),
  'a value like false': () => ({
    container: { env: [{ name: 'GIT_CONFIG_NOSYSTEM', value: `${fill('0', LARGEST_BYTES)}1` }] },
  }),
  'a long container name': () => ({ spec: { containers: [{ name: fill('é', LARGEST_BYTES) }] } }),
  'a long pod name': () => ({ metadata: { name: fill('\u2028', LARGEST_BYTES) } }),
  'a long service account': () => ({ spec: { serviceAccountName: fill('a', LARGEST_BYTES) } }),
  'a long namespace': () => ({ request: { namespace: fill('eyJ', LARGEST_BYTES) } }),
  'a long uid': () => ({ request: { uid: fill('u', LARGEST_BYTES) } }),
  'a long operation': () => ({ request: { operation: fill('é', LARGEST_BYTES) } }),
  'a long group': () => ({ request: { kind: { group: fill('é', LARGEST_BYTES), version: 'v1', kind: 'Pod' } } }),
};

/** Worst cases by name, in a fixed order. */
export const HOSTILE_REVIEWS: ReadonlyMap<string, () => Buffer> = new Map([
  ['an ordinary pod', () => write({})],
  ...Object.entries(JSON_CASES).map(([name, create]) => [`JSON: ${name}`, () => writeRaw(create())] as const),
  ...Object.entries({ ...POD_CASES, ...PAIR_CASES }).map(
    ([name, create]) => [`pod: ${name}`, () => write(create())] as const,
  ),
  ...[STORED_BYTES, LARGEST_BYTES].flatMap((bytes) =>
    SLOW_TEXTS.map(
      ([what, annotation, create]) =>
        [
          `annotation: ${annotation.replace(/^.*\//, '')}, ${what} of ${Math.round(bytes / 1024)} KiB`,
          // Escapes and two ends may make it larger than one body can be.
          () => write({ annotations: { [annotation]: create(bytes).slice(0, LARGEST_BYTES) } }),
        ] as const,
    ),
  ),
]);

/** Annotations that are large for a service account, which the API server has stored. */
export const HOSTILE_ACCOUNTS: ReadonlyMap<string, Readonly<Record<string, string>>> = new Map([
  ...SLOW_TEXTS.map(
    ([what, annotation, create]) =>
      [
        `${annotation.replace(/^.*\//, '')}, ${what}`,
        { [annotation]: create(STORED_BYTES).slice(0, STORED_BYTES) },
      ] as const,
  ),
  ['unknown annotations', Object.fromEntries(list(6000, (index) => [`${GROUP}/port${index}`, 'x']))],
]);

const someCases = <T>(cases: Readonly<Record<string, T>>): fc.Arbitrary<T> => fc.constantFrom(...Object.values(cases));

/** Two pods in one, with a slow annotation and any junk in some place. */
const mixtures: fc.Arbitrary<Buffer> = fc
  .tuple(
    someCases({ ...POD_CASES, ...PAIR_CASES }),
    someCases({ ...POD_CASES, ...PAIR_CASES }),
    fc.array(fc.constantFrom(...SLOW_TEXTS), { maxLength: 3 }),
    fc.integer({ min: 1, max: STORED_BYTES }),
    fc.jsonValue(),
  )
  .map(([createFirst, createSecond, texts, bytes, junk]) => {
    const [first, second] = [createFirst(), createSecond()];
    const slow = Object.fromEntries(texts.map(([, annotation, create]) => [annotation, create(bytes)]));
    const merged = write({
      annotations: { ...first.annotations, ...second.annotations, ...slow },
      metadata: { ...first.metadata, ...second.metadata },
      spec: { ...first.spec, ...second.spec, 'x-junk': junk },
      container: { ...first.container, ...second.container },
      request: { ...first.request, ...second.request },
    });
    return merged.subarray(0, LARGEST_BYTES);
  });

/** JSON of one kind, repeated with another in between. */
const patterns: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.array(fc.oneof(fc.json({ maxDepth: 4 }), fc.constantFrom('{}', '[]', '0', '""', '{"a":{}}', '"\\ud800"')), {
      minLength: 1,
      maxLength: 5,
    }),
    fc.integer({ min: 1, max: LARGEST_BYTES }),
  )
  .map(([items, bytes]) => writeRaw(`[${fill(`${items.join(',')},`, bytes)}0]`));

/** Any named case, cut short or with some bytes changed. */
const mutations: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.constantFrom(...HOSTILE_REVIEWS.values()),
    fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.integer({ min: 0, max: 255 })),
      { maxLength: 8 },
    ),
    fc.double({ min: 0.5, max: 1, noNaN: true }),
    fc.boolean(),
  )
  .map(([create, changes, part, isCut]) => {
    const bytes = create();
    for (const [place, byte] of changes) bytes[Math.floor(place * bytes.length)] = byte;
    return isCut ? bytes.subarray(0, Math.floor(part * bytes.length)) : bytes;
  });

/** Any review of a size that the webhook reads. */
export const hostileReviews: fc.Arbitrary<Buffer> = fc
  .oneof(mixtures, patterns, mutations)
  .map((body) => body.subarray(0, 4 * MIB))
  // Without values in the error: each would have megabytes.
  .map((body) => Object.assign(body, { toJSON: () => `${body.length} bytes` }));

/** A pod from outside: its raw JSON is checked once, in every field that injection reads. PURE. */
import type {
  Affinity,
  Container,
  ContainerPort,
  EnvVar,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodSpec,
  Resources,
  SecurityContext,
  Volume,
  VolumeDevice,
  VolumeMount,
} from '../kubernetes/types.js';
import { isObject } from '../values/json.js';
import { quote, showName } from '../values/text.js';

/** Containers of each kind. etcd would store a pod of some thousands, but no node runs one of so many. */
const MAX_CONTAINERS = 1024;
/** Limit of Kubernetes for the names of objects; those of containers and volumes have 63 characters at most. */
const MAX_NAME_LENGTH = 253;
/** Linux knows no longer path (PATH_MAX, with its last byte zero). */
const MAX_PATH_LENGTH = 4095;

/** Labels or annotations. Kubernetes takes null for the empty text. */
export type Texts = Readonly<Record<string, string | null | undefined>>;

/** A pod whose fields are checked, so that nothing that reads them can fail. */
export interface CheckedPod {
  readonly metadata: { readonly labels?: Texts | null; readonly annotations?: Texts | null };
  readonly spec: PodSpec;
}

/** The pod, or a clause that names the first field which does not follow the Kubernetes API. */
export function parsePod(raw: unknown): { readonly pod: CheckedPod } | { readonly problem: string } {
  const flaw = checkPod(raw);
  if (flaw === undefined) return { pod: raw as CheckedPod };
  return { problem: `${flaw.path === '' ? 'the pod' : flaw.path.slice(1)} ${flaw.clause}` };
}

/** Labels or annotations of raw JSON of any shape, with values of any type. */
export function readValues(raw: unknown, field: 'labels' | 'annotations'): Readonly<Record<string, unknown>> {
  const metadata = isObject(raw) ? raw['metadata'] : undefined;
  const values = isObject(metadata) ? metadata[field] : undefined;
  return isObject(values) ? values : {};
}

/** `pod NAMESPACE/NAME`, as far as these are known at creation. */
export function describePod(raw: unknown, namespace: string): string {
  const metadata = isObject(raw) && isObject(raw['metadata']) ? raw['metadata'] : {};
  return `pod ${namespace === '' ? '' : `${showName(namespace)}/`}${nameObject(metadata)}`;
}

function nameObject({ name, generateName }: Readonly<Record<string, unknown>>): string {
  if (typeof name === 'string' && name !== '') return showName(name);
  return typeof generateName === 'string' ? `${showName(generateName)}*` : '(unnamed)';
}

/** What is wrong with one field. Each segment of `path` begins with its dot or bracket. */
interface Flaw {
  readonly path: string;
  readonly clause: string;
}

interface Check<T> {
  (value: unknown): Flaw | undefined;
  /** Never set: lets the type checker compare what is checked with the type that is promised. */
  readonly promises?: T;
}

function check<T>(isRight: (value: unknown) => boolean, clause: string): Check<T> {
  return (value) => (isRight(value) ? undefined : { path: '', clause });
}

const checkText = check<string>((value) => typeof value === 'string', 'is not a text');
const checkFilled = check<string>((value) => typeof value === 'string' && value !== '', 'is not a name');
/** The name of an object or of a part of one. Names of variables may be longer. */
const checkName = check<string>(
  (value) => typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH,
  `is not a name of at most ${MAX_NAME_LENGTH} characters`,
);
/** A name that may be empty. */
const checkShortText = check<string>(
  (value) => typeof value === 'string' && value.length <= MAX_NAME_LENGTH,
  `is not a text of at most ${MAX_NAME_LENGTH} characters`,
);
const checkPath = check<string>(
  (value) => typeof value === 'string' && value.length <= MAX_PATH_LENGTH,
  `is not a path of at most ${MAX_PATH_LENGTH} characters`,
);
const checkWhole = check<number>(Number.isInteger, 'is not a whole number');
const checkBoolean = check<boolean>((value) => typeof value === 'boolean', 'is not true or false');
const checkQuantity = check<string | number>(
  (value) => typeof value === 'string' || typeof value === 'number',
  'is not a quantity',
);
const acceptAny = check<unknown>(() => true, '');

/** Absent and null are the same to Kubernetes. */
function optional<T>(checkValue: Check<T>): Check<T | null | undefined> {
  return (value) => (value === undefined || value === null ? undefined : checkValue(value));
}

function listOf<T>(checkItem: Check<T>, maxLength = Infinity): Check<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) return { path: '', clause: 'is not a list' };
    if (value.length > maxLength) return { path: '', clause: `has ${value.length} items, more than ${maxLength}` };
    for (const [index, item] of value.entries()) {
      const flaw = checkItem(item);
      if (flaw !== undefined) return { ...flaw, path: `[${index}]${flaw.path}` };
    }
    return undefined;
  };
}

function mapOf<T>(checkItem: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value) => {
    if (!isObject(value)) return { path: '', clause: 'is not a map' };
    for (const key of Object.keys(value)) {
      const flaw = checkItem(value[key]);
      if (flaw !== undefined) return { ...flaw, path: `[${quote(key)}]${flaw.path}` };
    }
    return undefined;
  };
}

/** Takes a check for every field of the type, so that no field is read unchecked. */
function objectOf<T>(checks: { readonly [K in keyof T]-?: Check<T[K]> }): Check<T> {
  const entries = Object.entries<Check<unknown>>(checks);
  return (value) => {
    if (!isObject(value)) return { path: '', clause: 'is not an object' };
    for (const [key, checkField] of entries) {
      const flaw = checkField(value[key]);
      if (flaw !== undefined) return { ...flaw, path: `.${key}${flaw.path}` };
    }
    return undefined;
  };
}

const checkResources = objectOf<Resources>({
  requests: optional(mapOf(checkQuantity)),
  limits: optional(mapOf(checkQuantity)),
});

const checkSecurityContext = objectOf<SecurityContext>({
  runAsUser: optional(checkWhole),
  runAsNonRoot: optional(checkBoolean),
  windowsOptions: optional(objectOf<object>({})),
});

const checkContainer = objectOf<Container>({
  name: checkName,
  image: optional(checkText),
  env: optional(listOf(objectOf<EnvVar>({ name: checkFilled, value: optional(checkText), valueFrom: acceptAny }))),
  envFrom: optional(listOf(objectOf<object>({}))),
  volumeMounts: optional(
    listOf(
      objectOf<VolumeMount>({
        name: checkName,
        mountPath: checkPath,
        subPath: optional(checkText),
        subPathExpr: optional(checkText),
        readOnly: optional(checkBoolean),
        mountPropagation: optional(checkText),
      }),
    ),
  ),
  volumeDevices: optional(listOf(objectOf<VolumeDevice>({ name: checkName, devicePath: checkText }))),
  ports: optional(listOf(objectOf<ContainerPort>({ containerPort: optional(checkWhole), name: optional(checkText) }))),
  resources: optional(checkResources),
  securityContext: optional(checkSecurityContext),
});

const checkNodeTerm = objectOf<NodeSelectorTerm>({
  matchExpressions: optional(
    listOf(
      objectOf<NodeSelectorRequirement>({ key: checkText, operator: checkText, values: optional(listOf(checkText)) }),
    ),
  ),
  matchFields: optional(listOf(acceptAny)),
});

type NodeAffinity = NonNullable<Affinity['nodeAffinity']>;
type RequiredTerms = NonNullable<NodeAffinity['requiredDuringSchedulingIgnoredDuringExecution']>;

const checkAffinity = objectOf<Affinity>({
  nodeAffinity: optional(
    objectOf<NodeAffinity>({
      requiredDuringSchedulingIgnoredDuringExecution: optional(
        objectOf<RequiredTerms>({ nodeSelectorTerms: optional(listOf(checkNodeTerm)) }),
      ),
    }),
  ),
});

/**
 * What is wrong with the value of a label or annotation. As Kubernetes, it takes null for the empty text; YAML reads an
 * unquoted `true` or `8779` as something else.
 */
export function findTextProblem(value: unknown): string | undefined {
  if (value === undefined || value === null || typeof value === 'string') return undefined;
  const isScalar = typeof value === 'boolean' || typeof value === 'number';
  return `is not a text${isScalar ? `; write it in quotes: "${value}"` : ''}`;
}

const checkLabel: Check<string | null | undefined> = (value) => {
  const clause = findTextProblem(value);
  return clause === undefined ? undefined : { path: '', clause };
};

const checkPod = objectOf<CheckedPod>({
  metadata: objectOf<CheckedPod['metadata']>({
    labels: optional(mapOf(checkLabel)),
    annotations: optional(mapOf(checkLabel)),
  }),
  spec: objectOf<PodSpec>({
    containers: listOf(checkContainer, MAX_CONTAINERS),
    initContainers: optional(listOf(checkContainer, MAX_CONTAINERS)),
    ephemeralContainers: optional(listOf(checkContainer, MAX_CONTAINERS)),
    volumes: optional(listOf(objectOf<Volume>({ name: checkName }))),
    imagePullSecrets: optional(listOf(objectOf<{ name?: string | null }>({ name: optional(checkText) }))),
    serviceAccountName: optional(checkShortText),
    securityContext: optional(checkSecurityContext),
    resources: optional(checkResources),
    hostNetwork: optional(checkBoolean),
    hostPID: optional(checkBoolean),
    shareProcessNamespace: optional(checkBoolean),
    os: optional(objectOf<{ name?: string | null }>({ name: optional(checkText) })),
    nodeSelector: optional(mapOf(checkText)),
    affinity: optional(checkAffinity),
  }),
});

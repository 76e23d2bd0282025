/** Makes sure that raw JSON has the shape of a pod in all that injection reads, so that nothing after it can stumble. PURE. */
import type { Container, Pod } from '../kubernetes/types.js';
import { SIDECAR_CONTAINER, WRITTEN_ANNOTATION } from '../names.js';
import { isObject } from '../values/json.js';
import { truncate } from '../values/text.js';
import { pointer } from './patch.js';

type Check = (value: unknown, path: string) => string | undefined;

/** What is not as the Kubernetes API has it, with the field's path, or `undefined` for a pod. */
export function findPodProblem(pod: unknown): string | undefined {
  return checkPod(pod, '');
}

/** Asserts the shape for the type checker; only after {@link findPodProblem} found nothing. */
export function asPod(pod: unknown): Pod {
  return pod as Pod;
}

/** A pod's labels or annotations, read from raw JSON of any shape; what is not a text is left out. */
export function readTexts(pod: unknown, field: 'labels' | 'annotations'): Readonly<Record<string, string>> {
  const metadata = isObject(pod) ? pod['metadata'] : undefined;
  const texts = isObject(metadata) ? metadata[field] : undefined;
  if (!isObject(texts)) return {};
  return Object.fromEntries(
    Object.entries(texts).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** Where a container stands in a pod. */
export interface ContainerRef {
  readonly list: 'initContainers' | 'containers';
  readonly index: number;
  readonly container: Container;
}

/** All containers of the user's, init containers first. */
export function listUserContainers(pod: Pod): ContainerRef[] {
  const places = (['initContainers', 'containers'] as const).flatMap((list) =>
    (pod.spec[list] ?? []).map((container, index) => ({ list, index, container })),
  );
  if (!isEarlierPass(pod)) return places;
  return places.filter(({ list, container }) => list === 'containers' || container.name !== SIDECAR_CONTAINER);
}

/** JSON pointer of a container before our sidecar came. */
export function formerPointer(pod: Pod, list: ContainerRef['list'], index: number): string {
  const before = (pod.spec.initContainers ?? []).slice(0, index);
  const isAfterSidecar =
    list === 'initContainers' && isEarlierPass(pod) && before.some(({ name }) => name === SIDECAR_CONTAINER);
  return pointer('spec', list, isAfterSidecar ? index - 1 : index);
}

/** Whether an earlier pass of ours has marked the pod: items of our names are then ours, whatever they hold. */
export function isEarlierPass(pod: Pod): boolean {
  return typeof pod.metadata.annotations?.[WRITTEN_ANNOTATION.status] === 'string';
}

/** `pod NAMESPACE/NAME`, or as much of it as is known at creation. */
export function describePod(pod: unknown, namespace: string): string {
  const metadata = isObject(pod) && isObject(pod['metadata']) ? pod['metadata'] : {};
  const { name, generateName } = metadata;
  const known =
    typeof name === 'string' && name !== ''
      ? truncate(name)
      : typeof generateName === 'string'
        ? `${truncate(generateName)}*`
        : '';
  return `pod ${namespace === '' ? '' : `${namespace}/`}${known === '' ? '(unnamed)' : known}`;
}

const checkText: Check = (value, path) => (typeof value === 'string' ? undefined : `${path} is not a text`);

const checkName: Check = (value, path) =>
  typeof value === 'string' && value !== '' ? undefined : `${path} is not a name`;

const checkWhole: Check = (value, path) => (Number.isInteger(value) ? undefined : `${path} is not a whole number`);

const checkBoolean: Check = (value, path) => (typeof value === 'boolean' ? undefined : `${path} is not true or false`);

const checkQuantity: Check = (value, path) =>
  typeof value === 'string' || typeof value === 'number' ? undefined : `${path} is not a quantity`;

/** Absent and null are the same to Kubernetes. */
function optional(check: Check): Check {
  return (value, path) => (value === undefined || value === null ? undefined : check(value, path));
}

function list(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path} is not a list`;
    return findFirst(value, (item, index) => check(item, `${path}[${index}]`));
  };
}

function map(check: Check): Check {
  return (value, path) => {
    if (!isObject(value)) return `${path} is not a map`;
    return findFirst(Object.entries(value), ([key, item]) => check(item, `${path}["${truncate(key)}"]`));
  };
}

function object(checks: Readonly<Record<string, Check>>): Check {
  const entries = Object.entries(checks);
  return (value, path) => {
    if (!isObject(value)) return `${path === '' ? 'the pod' : path} is not an object`;
    return findFirst(entries, ([key, check]) => check(value[key], path === '' ? key : `${path}.${key}`));
  };
}

function findFirst<T>(items: readonly T[], find: (item: T, index: number) => string | undefined): string | undefined {
  for (const [index, item] of items.entries()) {
    const problem = find(item, index);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const checkResources = object({ requests: optional(map(checkQuantity)), limits: optional(map(checkQuantity)) });

const checkSecurityContext = object({
  runAsUser: optional(checkWhole),
  runAsNonRoot: optional(checkBoolean),
});

const checkContainer = object({
  name: checkName,
  env: optional(list(object({ name: checkName, value: optional(checkText) }))),
  envFrom: optional(list(object({}))),
  volumeMounts: optional(list(object({ name: checkName, mountPath: checkText, subPath: optional(checkText) }))),
  ports: optional(list(object({ containerPort: optional(checkWhole) }))),
  resources: optional(checkResources),
  securityContext: optional(checkSecurityContext),
});

const checkPod = object({
  metadata: object({ labels: optional(map(optional(checkText))), annotations: optional(map(optional(checkText))) }),
  spec: object({
    containers: list(checkContainer),
    initContainers: optional(list(checkContainer)),
    volumes: optional(list(object({ name: checkName }))),
    imagePullSecrets: optional(list(object({ name: optional(checkText) }))),
    serviceAccountName: optional(checkText),
    securityContext: optional(checkSecurityContext),
    resources: optional(checkResources),
    hostNetwork: optional(checkBoolean),
    os: optional(object({ name: optional(checkText) })),
    nodeSelector: optional(map(checkText)),
  }),
});

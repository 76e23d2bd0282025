/** Finds the pods and pod templates in any Kubernetes object, also in custom resources and in objects inside objects. */
import { joinPointer, type Operation } from '../inject/index.js';
import { isObject } from '../values/json.js';

export interface PodTemplate {
  /** JSON pointer of the value that has the pod's `metadata` and `spec`. */
  readonly path: string;
  readonly pod: unknown;
  /** The object that holds it, as `Kind namespace/name`. */
  readonly description: string;
  /** The object's own namespace. */
  readonly namespace: string | undefined;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** The value at a path of keys, or `undefined`. */
export function readField(value: unknown, ...keys: readonly string[]): unknown {
  let current = value;
  for (const key of keys) {
    if (!isObject(current) || !Object.hasOwn(current, key)) return undefined;
    current = current[key];
  }
  return current;
}

/** Calls back with every object (a value with `apiVersion` and `kind`) in a value: itself, and those inside others. */
export function visitObjects(value: unknown, callBack: (object: JsonObject) => void): void {
  if (!canHold(value)) return;
  if (isKubernetesObject(value)) callBack(value);
  for (const item of Object.values(value)) visitObjects(item, callBack);
}

/** Every pod template of a document, in its order. docs/files.md has the rule. */
export function findPodTemplates(document: unknown): PodTemplate[] {
  const found: PodTemplate[] = [];
  collect({ value: document, owner: document, path: [] }, found);
  return found;
}

interface Place {
  readonly value: unknown;
  /** The innermost object around the value, or the value itself. */
  readonly owner: unknown;
  /** The keys that lead to it; changed during the walk. */
  readonly path: (string | number)[];
}

function collect({ value, owner: outer, path }: Place, found: PodTemplate[]): void {
  if (!canHold(value)) return;
  const owner = ownsItself(value, path.at(-1)) ? value : outer;
  if (isPodTemplate(value)) {
    const namespace = readField(owner, 'metadata', 'namespace');
    found.push({
      path: joinPointer(...path),
      pod: value,
      description: describeObject(owner),
      namespace: typeof namespace === 'string' && namespace !== '' ? namespace : undefined,
    });
  }
  for (const [key, item] of Object.entries(value)) {
    path.push(key);
    collect({ value: item, owner, path }, found);
    path.pop();
  }
}

/** Kinds that describe what objects may be, or that other tools compare objects with: nothing in them is a pod template. */
const WITHOUT_TEMPLATES = /^(?:apiextensions\.k8s\.io|(?:policies\.)?kyverno\.io)\//;

function canHold(value: unknown): value is JsonObject {
  if (typeof value !== 'object' || value === null) return false;
  const apiVersion = readField(value, 'apiVersion');
  return typeof apiVersion !== 'string' || !WITHOUT_TEMPLATES.test(apiVersion);
}

function isKubernetesObject(value: unknown): boolean {
  return typeof readField(value, 'apiVersion') === 'string' && typeof readField(value, 'kind') === 'string';
}

/** A template that repeats `kind: Pod` belongs to the object around it, unless it names a namespace. */
function ownsItself(value: JsonObject, key: string | number | undefined): boolean {
  if (!isKubernetesObject(value) || !isObject(value['metadata'])) return false;
  const isTemplate = typeof key === 'string' && /template$/i.test(key);
  return !isTemplate || typeof readField(value, 'metadata', 'namespace') === 'string';
}

/** A pod, or a value with `spec.containers` that is no object of another kind. */
function isPodTemplate(value: JsonObject): boolean {
  if (!Array.isArray(readField(value, 'spec', 'containers'))) return false;
  const kind = readField(value, 'kind');
  const apiVersion = readField(value, 'apiVersion');
  return kind === undefined || (kind === 'Pod' && (apiVersion === undefined || apiVersion === 'v1'));
}

function describeObject(object: unknown): string {
  const text = (...keys: string[]): string => {
    const value = readField(object, ...keys);
    return typeof value === 'string' ? value : '';
  };
  const namespace = text('metadata', 'namespace');
  const name = text('metadata', 'name') || text('metadata', 'generateName');
  return `${text('kind') || 'object'} ${namespace === '' ? '' : `${namespace}/`}${name || '(unnamed)'}`;
}

/** The operations on a pod, as operations on the document that holds it. */
export function prefixOperations(prefix: string, operations: readonly Operation[]): Operation[] {
  return operations.map((operation) => ({ ...operation, path: prefix + operation.path }));
}

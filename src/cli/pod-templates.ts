/** Finds the pods and pod templates in any Kubernetes object, also in custom resources. */
import { joinPointer, type Operation } from '../inject/index.js';

export interface PodTemplate {
  /** JSON pointer of the value that has the pod's `metadata` and `spec`. */
  readonly path: string;
  readonly pod: unknown;
  /** The object that holds it, as `Kind namespace/name`. */
  readonly description: string;
  /** The object's own namespace. */
  readonly namespace: string | undefined;
}

/** The value at a path of keys, or `undefined`. */
export function readField(value: unknown, ...keys: readonly string[]): unknown {
  let current = value;
  for (const key of keys) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}

/** Every value with `spec.containers`, in the order of the document. */
export function findPodTemplates(document: unknown): PodTemplate[] {
  const items = readField(document, 'items');
  if (!Array.isArray(items)) return collect(document, document, '');
  return items.flatMap((item, index) => collect(item, item, joinPointer('items', index)));
}

function collect(value: unknown, owner: unknown, path: string): PodTemplate[] {
  if (typeof value !== 'object' || value === null) return [];
  const found: PodTemplate[] = [];
  if (Array.isArray(readField(value, 'spec', 'containers'))) {
    const namespace = readField(owner, 'metadata', 'namespace');
    found.push({
      path,
      pod: value,
      description: describeObject(owner),
      namespace: typeof namespace === 'string' && namespace !== '' ? namespace : undefined,
    });
  }
  for (const [key, item] of Object.entries(value)) found.push(...collect(item, owner, path + joinPointer(key)));
  return found;
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

/** Finds the pods and pod templates in any Kubernetes object, those of custom resources too. */

import { type Operation, pointer } from '../inject/index.js';

export interface PodTemplate {
  /** JSON pointer of what has the pod's `metadata` and `spec`. */
  readonly path: string;
  readonly pod: unknown;
  /** `Kind namespace/name`, as people call the object that holds it. */
  readonly description: string;
  /** Namespace that the object names. */
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

/** All that holds `spec.containers`, in the order of the document. */
export function findPodTemplates(document: unknown): PodTemplate[] {
  const items = readField(document, 'items');
  if (!Array.isArray(items)) return collect(document, document, '');
  return items.flatMap((item, index) => collect(item, item, pointer('items', index)));
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
  for (const [key, item] of Object.entries(value)) found.push(...collect(item, owner, path + pointer(key)));
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

/** The operations on a pod as operations on the document that holds it. */
export function prefixOperations(prefix: string, operations: readonly Operation[]): Operation[] {
  return operations.map((operation) => ({ ...operation, path: prefix + operation.path }));
}

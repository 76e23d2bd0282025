/** Applies patches (RFC 6902), as far as our own patches need it. PURE. */
import type { Operation } from './patch.js';

/** The segments of a JSON pointer (RFC 6901). */
export function splitPointer(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value after the operations, as a copy: the input does not change. */
export function applyOperations(value: unknown, operations: readonly Operation[]): unknown {
  const result: unknown = structuredClone(value);
  for (const operation of operations) applyOperation(result, operation);
  return result;
}

function applyOperation(root: unknown, operation: Operation): void {
  const segments = splitPointer(operation.path);
  const last = segments.pop() ?? '';
  let parent = root as Record<string, unknown> | unknown[];
  for (const segment of segments) parent = (parent as Record<string, unknown>)[segment] as typeof parent;
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    if (operation.op === 'remove') parent.splice(index, 1);
    else parent.splice(index, operation.op === 'add' ? 0 : 1, structuredClone(operation.value));
  } else if (operation.op === 'remove') {
    Reflect.deleteProperty(parent, last);
  } else {
    parent[last] = structuredClone(operation.value);
  }
}

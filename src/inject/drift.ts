/**
 * Drift: what others change on our volumes, mounts and lists between two passes, and how much of it is ours to restore.
 * What others change on the sidecar is in `carry-over.ts`. PURE.
 */
import type { VolumeMount } from '../kubernetes/types.js';
import { isObject } from '../values/json.js';
import { isSameQuantity } from './quantity.js';

/** What the API server writes into the fields of our volumes that we leave out. */
const API_DEFAULTS: Readonly<Record<string, unknown>> = { defaultMode: 420, apiVersion: 'v1' };

/**
 * Whether a volume still is what it should be: its source as we write it, but for the API server's defaults and its own form
 * of quantities. It descends no deeper than what is wanted.
 */
export function isSameSource(existing: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(existing) || existing.length !== wanted.length) return false;
    return wanted.every((item, index) => isSameSource(existing[index], item));
  }
  if (!isObject(wanted)) {
    return existing === wanted || (typeof wanted === 'string' && isSameQuantity(existing, wanted));
  }
  if (!isObject(existing)) return false;
  return (
    Object.entries(wanted).every(([field, value]) => isSameSource(existing[field], value)) &&
    Object.entries(existing).every(([field, value]) => Object.hasOwn(wanted, field) || API_DEFAULTS[field] === value)
  );
}

/** Whether a mount shows the same of the same volume at the same path. Other fields of it are left as they are. */
export function isSameMount(existing: VolumeMount, wanted: VolumeMount): boolean {
  return (
    existing.name === wanted.name &&
    existing.mountPath === wanted.mountPath &&
    (existing.readOnly ?? false) === (wanted.readOnly ?? false) &&
    (existing.subPath ?? '') === (wanted.subPath ?? '') &&
    (existing.subPathExpr ?? '') === '' &&
    // With propagation, what others mount below one of our folders would appear in it elsewhere.
    (existing.mountPropagation ?? 'None') === 'None'
  );
}

/** How the items of a list are told apart. */
interface Stake<T> {
  /** The wanted item that this one stands for. */
  readonly findWanted: (item: T) => T | undefined;
  readonly isSame: (item: T, wanted: T) => boolean;
  /** Items that an earlier pass wrote and that are no longer wanted. */
  readonly isStale: (item: T) => boolean;
}

/** The list with each wanted item once, in the place of the first of it; all other items stay. The same list if nothing differs. */
export function restoreItems<T>(existing: readonly T[], wanted: readonly T[], stake: Stake<T>): readonly T[] {
  const missing = new Set(wanted);
  const kept = existing.flatMap((item) => {
    const ours = stake.findWanted(item);
    if (ours === undefined) return stake.isStale(item) ? [] : [item];
    if (!missing.delete(ours)) return [];
    return [stake.isSame(item, ours) ? item : ours];
  });
  const restored = [...kept, ...missing];
  return restored.length === existing.length && restored.every((item, index) => item === existing[index])
    ? existing
    : restored;
}

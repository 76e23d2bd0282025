/**
 * Drift: what others may change on our items between two passes. The API server and its built-in admission fill in defaults
 * (AlwaysPullImages, LimitRange, the service account's mount), and other webhooks add to every container, ours too. That
 * much may differ and stays when an item is restored, since built-in admission does not run again after the last pass. PURE.
 */
import type { Container, EnvVar, Quantities, Resources, VolumeMount } from '../kubernetes/types.js';
import { isObject } from '../values/json.js';
import { isSameQuantity } from './quantity.js';

/** Defaults of the API server for fields that we leave out. */
const API_DEFAULTS: Readonly<Record<string, readonly unknown[]>> = {
  terminationMessagePath: ['/dev/termination-log'],
  terminationMessagePolicy: ['File'],
  imagePullPolicy: ['Always', 'IfNotPresent', 'Never'],
  defaultMode: [420],
  apiVersion: ['v1'],
  successThreshold: [1],
};

const OTHERS_MOUNTS = ['/var/run/secrets/azure/'];
/** Set by the Azure webhook, and by webhooks that configure a proxy in all containers. */
const OTHERS_ENV = /^(?:AZURE_.*|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY)$/;

/**
 * Whether an item that a pod holds is still what it should be.
 *
 * @param key of the two values in their objects.
 */
export function isUnchanged(existing: unknown, wanted: unknown, key?: string): boolean {
  if (Array.isArray(wanted)) return Array.isArray(existing) && isSameList(existing, wanted);
  if (!isObject(wanted)) return isSameValue(existing, wanted, key);
  if (!isObject(existing)) return false;
  return (
    Object.entries(wanted).every(([field, value]) => isUnchanged(existing[field], value, field)) &&
    Object.entries(existing).every(([field, value]) => field in wanted || isDefaulted(field, value, key))
  );
}

function isSameList(existing: readonly unknown[], wanted: readonly unknown[]): boolean {
  const ours = existing.filter((item) => !isAddedByOthers(item, wanted));
  return ours.length === wanted.length && wanted.every((item, index) => isUnchanged(ours[index], item));
}

function isSameValue(existing: unknown, wanted: unknown, key: string | undefined): boolean {
  if (existing === wanted) return true;
  if (key === 'imagePullPolicy') return existing === 'Always';
  // The API server writes quantities in its own form: `1000m` as `1`.
  return typeof wanted === 'string' && typeof existing === 'string' && isSameQuantity(existing, wanted);
}

function isDefaulted(field: string, value: unknown, parent: string | undefined): boolean {
  if (parent === 'requests' || parent === 'limits') return true;
  if (parent === 'resources') return field === 'requests' || field === 'limits';
  return API_DEFAULTS[field]?.includes(value) === true;
}

/** Whether others are known to add this item to the lists of every container; not where we have one of that name. */
function isAddedByOthers(item: unknown, wanted: readonly unknown[]): boolean {
  if (!isObject(item)) return false;
  const { name, mountPath } = item as Partial<EnvVar & VolumeMount>;
  if (mountPath !== undefined) return OTHERS_MOUNTS.some((prefix) => `${mountPath}/`.startsWith(prefix));
  if (typeof name !== 'string' || !OTHERS_ENV.test(name)) return false;
  return !wanted.some((one) => isObject(one) && one['name'] === name);
}

/** The wanted container, with what others have added to the existing one. */
export function restore(existing: Container & { readonly imagePullPolicy?: unknown }, wanted: Container): Container {
  const { env = [], volumeMounts = [], resources } = wanted;
  return {
    ...wanted,
    ...(existing.imagePullPolicy === 'Always' && { imagePullPolicy: 'Always' }),
    env: [...(env ?? []), ...(existing.env ?? []).filter((item) => isAddedByOthers(item, env ?? []))],
    volumeMounts: [
      ...(volumeMounts ?? []),
      ...(existing.volumeMounts ?? []).filter((item) => isAddedByOthers(item, [])),
    ],
    resources: mergeResources(existing.resources, resources),
  };
}

function mergeResources(existing: Resources | null | undefined, wanted: Resources | null | undefined): Resources {
  const merged: { requests?: Quantities; limits?: Quantities } = {};
  for (const section of ['requests', 'limits'] as const) {
    const quantities = { ...existing?.[section], ...wanted?.[section] };
    if (Object.keys(quantities).length > 0) merged[section] = quantities;
  }
  return merged;
}

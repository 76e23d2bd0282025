/**
 * Whether an item of ours that a pod holds is still what it should be. Between two passes the API server and its own
 * admission fill in defaults (AlwaysPullImages, LimitRange, the service account's mount), and other webhooks add to every
 * container, ours too: that much may differ, nothing else. What they added stays when an item is put right, since
 * built-in admission does not run again after the last pass. PURE.
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

const FOREIGN_MOUNTS = ['/var/run/secrets/kubernetes.io/', '/var/run/secrets/azure/'];
/** Of the Azure webhook, and of those that tell all containers of a proxy. */
const FOREIGN_ENV = /^(?:AZURE_.*|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY)$/;

/** @param key under which the two stand in their objects. */
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
  const ours = existing.filter((item) => !isForeign(item, wanted));
  return ours.length === wanted.length && wanted.every((item, index) => isUnchanged(ours[index], item));
}

function isSameValue(existing: unknown, wanted: unknown, key: string | undefined): boolean {
  if (existing === wanted) return true;
  if (key === 'imagePullPolicy') return existing === 'Always';
  // The API server may write a quantity in another way: `1000m` as `1`.
  return typeof wanted === 'string' && typeof existing === 'string' && isSameQuantity(existing, wanted);
}

function isDefaulted(field: string, value: unknown, parent: string | undefined): boolean {
  if (parent === 'requests' || parent === 'limits') return true;
  if (parent === 'resources') return field === 'requests' || field === 'limits';
  return API_DEFAULTS[field]?.includes(value) === true;
}

/** What others are known to add to the lists of every container, unless we have an item of that name ourselves. */
function isForeign(item: unknown, wanted: readonly unknown[]): boolean {
  if (!isObject(item)) return false;
  const { name, mountPath } = item as Partial<EnvVar & VolumeMount>;
  if (mountPath !== undefined) return FOREIGN_MOUNTS.some((prefix) => `${mountPath}/`.startsWith(prefix));
  if (typeof name !== 'string' || !FOREIGN_ENV.test(name)) return false;
  return !wanted.some((one) => isObject(one) && one['name'] === name);
}

/** The container as it should be, with what others may have added to the one that is there. */
export function restore(existing: Container & { readonly imagePullPolicy?: unknown }, wanted: Container): Container {
  const { env = [], volumeMounts = [], resources } = wanted;
  return {
    ...wanted,
    ...(existing.imagePullPolicy === 'Always' && { imagePullPolicy: 'Always' }),
    env: [...(env ?? []), ...(existing.env ?? []).filter((item) => isForeign(item, env ?? []))],
    volumeMounts: [...(volumeMounts ?? []), ...(existing.volumeMounts ?? []).filter((item) => isForeign(item, []))],
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

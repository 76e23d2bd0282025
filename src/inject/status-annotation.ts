/** The annotation `status`, which marks a pod of an earlier pass and says what that pass found. PURE. */
import { MAX_ANNOTATIONS_BYTES } from '../defaults.js';
import { WRITTEN_ANNOTATION } from '../names.js';
import { readClientId, readTenantId } from '../values/entra-ids.js';
import { isObject } from '../values/json.js';
import type { Reader } from '../values/readers.js';
import { VERSION } from '../version.js';
import { type Empty, joinPointer } from './patch.js';
import type { CheckedPod } from './pod-shape.js';

export interface Status {
  readonly version: string;
  readonly mode: string;
  /** Names of the configured containers, init containers first. */
  readonly containers: readonly string[];
  readonly clientId: string;
  readonly tenantId: string;
  /**
   * Lists and maps that were empty before injection, by JSON pointer, with names for the indexes of containers; absent where
   * there are none. The API server never sends any. `uninject` puts them back.
   */
  readonly empty?: Readonly<Record<string, Empty>>;
}

/** Whether an earlier pass of ours has marked the pod: items of our names are then ours, whatever they hold. */
export function isEarlierPass(pod: CheckedPod): boolean {
  return typeof pod.metadata.annotations?.[WRITTEN_ANNOTATION.status] === 'string';
}

/**
 * Whether that pass was of the running version, so that it wrote what we would write: all that differs in its items is then
 * the work of others. Items of another version are rebuilt whole.
 */
export function isPassOfThisVersion(pod: CheckedPod): boolean {
  return readStatus(pod)['version'] === VERSION;
}

/**
 * What was empty before the earlier pass. Anyone may have written the status: only the lists and maps that injection edits are
 * looked up, and only what is empty is taken, so that it can never put anything into the pod.
 */
export function readFormerlyEmpty(pod: CheckedPod): Readonly<Record<string, Empty>> {
  const claimed = readStatus(pod)['empty'];
  if (!isObject(claimed)) return {};
  const lists = listEditedLists(pod);
  return Object.fromEntries(
    Object.entries(claimed).filter(
      (entry): entry is [string, Empty] =>
        (lists.has(entry[0]) && isEmptyList(entry[1])) || (EDITED_MAPS.has(entry[0]) && isEmptyMap(entry[1])),
    ),
  );
}

const EDITED_MAPS = new Set(['annotations', 'labels'].map((field) => joinPointer('metadata', field)));

/** JSON pointers, with the names of containers for their indexes. */
function listEditedLists({ spec }: CheckedPod): ReadonlySet<string> {
  const ofPod = ['volumes', 'imagePullSecrets', 'initContainers'].map((field) => joinPointer('spec', field));
  const ofContainers = (['initContainers', 'containers'] as const).flatMap((list) =>
    (spec[list] ?? []).flatMap(({ name }) =>
      ['env', 'volumeMounts'].map((field) => joinPointer('spec', list, name, field)),
    ),
  );
  return new Set([...ofPod, ...ofContainers]);
}

function isEmptyList(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

function isEmptyMap(value: unknown): boolean {
  return value === null || (isObject(value) && Object.keys(value).length === 0);
}

/** The identity of the earlier pass, where it is well-formed. */
export function readFormerIdentity(pod: CheckedPod): {
  readonly clientId: string | undefined;
  readonly tenantId: string | undefined;
} {
  const { clientId, tenantId } = readStatus(pod);
  return { clientId: readText(readClientId, clientId), tenantId: readText(readTenantId, tenantId) };
}

function readText(reader: Reader<string>, value: unknown): string | undefined {
  const reading = typeof value === 'string' ? reader(value) : undefined;
  return reading !== undefined && 'value' in reading ? reading.value : undefined;
}

function readStatus(pod: CheckedPod): Readonly<Record<string, unknown>> {
  const text = pod.metadata.annotations?.[WRITTEN_ANNOTATION.status] ?? '{}';
  // Ours is never longer, as Kubernetes would not store it.
  if (text.length > MAX_ANNOTATIONS_BYTES) return {};
  try {
    const status: unknown = JSON.parse(text);
    return isObject(status) ? status : {};
  } catch {
    return {};
  }
}

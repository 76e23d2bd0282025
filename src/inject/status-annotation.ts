/** The annotation `status`, by which a later pass and `uninject` know our items. PURE. */
import type { Pod } from '../kubernetes/types.js';
import { WRITTEN_ANNOTATION } from '../names.js';
import { isObject } from '../values/json.js';
import type { Empty } from './patch.js';

export interface Status {
  readonly version: string;
  readonly mode: string;
  /** Names of the configured containers, init containers first. */
  readonly containers: readonly string[];
  readonly clientId: string;
  readonly tenantId: string;
  /**
   * Lists and maps that stood empty where ours now are, by JSON pointer into the pod before injection; there only if
   * there are any, which the API server never sends. `uninject` puts them back.
   */
  readonly empty?: Readonly<Record<string, Empty>>;
}

/** What stood empty before the earlier pass; nothing where there is no status, or one that can't be read. */
export function readFormerlyEmpty(pod: Pod): Readonly<Record<string, Empty>> {
  let status: unknown;
  try {
    status = JSON.parse(pod.metadata.annotations?.[WRITTEN_ANNOTATION.status] ?? '{}');
  } catch {
    return {};
  }
  const empty = isObject(status) ? status['empty'] : undefined;
  return isObject(empty) ? (empty as Readonly<Record<string, Empty>>) : {};
}

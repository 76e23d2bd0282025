/**
 * A Kubernetes Event on the controller of a pod that was created without being injected: warnings reach a controller's
 * log alone, Events whoever looks at the workload.
 */
import { createHash } from 'node:crypto';
import { describeError } from '../errors.js';
import type { Outcome } from '../inject/index.js';
import type { KubernetesApi } from '../kubernetes/client.js';
import type { OwnerReference, Pod } from '../kubernetes/types.js';
import type { Logger } from '../log.js';
import { PRODUCT } from '../names.js';
import type { AdmissionRequest } from './admission-review.js';

export interface EventRecorderOptions {
  readonly api: Pick<KubernetesApi, 'post'>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly count: (result: 'sent' | 'failed' | 'dropped') => void;
}

/** One Event for an owner and reason in this time, milliseconds. */
const QUIET_MS = 3_600_000;
/** What was said lately is remembered of so many owners and reasons; the oldest are forgotten first. */
const MAX_REMEMBERED = 2000;
/** Events that wait to be sent; more are dropped, so that a slow API server costs no memory. */
const MAX_WAITING = 100;
const TIMEOUT_MS = 5000;
/** Limit of `v1` Event's message, bytes. */
const MAX_MESSAGE_BYTES = 1024;
const ALREADY_EXISTS = 409;

/**
 * @returns a function that takes note and returns at once; Events are sent one after the other, and one that can't be
 *   sent is only logged. Not to be called on dry runs.
 */
export function createEventRecorder(
  options: EventRecorderOptions,
): (outcome: Outcome, request: AdmissionRequest) => void {
  const { api, log, now, count } = options;
  const said = new Map<string, number>();
  const waiting: { readonly key: string; readonly path: string; readonly event: object }[] = [];
  let isSending = false;

  const wasSaidLately = (key: string): boolean => {
    const time = now();
    if (time - (said.get(key) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return true;
    said.delete(key);
    said.set(key, time);
    const [oldest] = said.keys();
    if (said.size > MAX_REMEMBERED && oldest !== undefined) said.delete(oldest);
    return false;
  };

  const sendAll = async (): Promise<void> => {
    if (isSending) return;
    isSending = true;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        const { status } = await api.post(next.path, next.event, TIMEOUT_MS);
        // Another replica has said the same in the same hour.
        if (status >= 300 && status !== ALREADY_EXISTS) throw new Error(`${next.path} was answered with ${status}`);
        count('sent');
      } catch (error) {
        count('failed');
        said.delete(next.key);
        log.warn('an Event could not be sent', { cause: describeError(error) });
      }
    }
    isSending = false;
  };

  return (outcome, { pod, namespace }) => {
    if (outcome.kind !== 'refused' || outcome.answer !== 'admit') return;
    const owner = findController(pod);
    if (owner === undefined) return;
    const key = `${owner.uid} ${outcome.reason}`;
    if (waiting.length >= MAX_WAITING) {
      count('dropped');
      return;
    }
    if (wasSaidLately(key)) return;
    waiting.push({
      key,
      path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`,
      event: writeEvent(owner, namespace, outcome, key, now()),
    });
    void sendAll();
  };
}

/** `v1` Event. Its name is the same in each replica for the hour, so that only one is created. */
function writeEvent(
  owner: OwnerReference,
  namespace: string,
  outcome: Extract<Outcome, { kind: 'refused' }>,
  key: string,
  now: number,
): object {
  const hour = Math.floor(now / QUIET_MS);
  const suffix = createHash('sha256').update(`${key} ${hour}`).digest('hex').slice(0, 16);
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  const { apiVersion, kind, name, uid } = owner;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace, name: `${name.slice(0, 230)}.${suffix}` },
    involvedObject: { apiVersion, kind, name, uid, namespace },
    type: 'Warning',
    reason: outcome.reason,
    message: cutBytes(outcome.message, MAX_MESSAGE_BYTES),
    source: { component: PRODUCT },
    reportingComponent: PRODUCT,
    reportingInstance: '',
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}

function findController(pod: unknown): OwnerReference | undefined {
  // The pod comes from outside: nothing about its shape is certain.
  const owners: unknown = (pod as Partial<Pod> | null)?.metadata?.ownerReferences;
  if (!Array.isArray(owners)) return undefined;
  const controller = (owners as (Partial<OwnerReference> | null)[]).find((owner) => owner?.controller === true);
  const isWhole = [controller?.apiVersion, controller?.kind, controller?.name, controller?.uid].every(
    (part) => typeof part === 'string',
  );
  return isWhole ? (controller as OwnerReference) : undefined;
}

function cutBytes(text: string, most: number): string {
  if (Buffer.byteLength(text) <= most) return text;
  const room = most - Buffer.byteLength('…');
  // A character that was cut in two decodes as the replacement character.
  return `${Buffer.from(text)
    .subarray(0, room)
    .toString('utf8')
    .replace(/\ufffd+$/, '')}…`;
}

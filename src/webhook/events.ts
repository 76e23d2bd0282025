/**
 * Records Kubernetes Events on the controller of a pod that was created without being injected, or with warnings. A warning
 * only reaches the controller's log; an Event reaches everyone who inspects the workload.
 */
import { createHash } from 'node:crypto';
import type { CoreV1Event } from '@kubernetes/client-node';
import { describeError } from '../errors.js';
import type { Outcome } from '../inject/index.js';
import type { KubernetesApi } from '../kubernetes/client.js';
import type { OwnerReference, Plain, Pod } from '../kubernetes/types.js';
import type { Logger } from '../log.js';
import { PRODUCT, SYSTEM_NAMESPACES } from '../names.js';
import { type EpochMs, formatTime, HOUR_MS, type Milliseconds, type Now } from '../time.js';
import { isApiVersion, isKind, isObjectName, isUid } from '../values/kubernetes.js';
import { cleanLine } from '../values/text.js';
import type { AdmissionRequest } from './admission-review.js';
import { type Allowance, createBudget } from './budget.js';
import type { ServiceAccountCache } from './service-account-cache.js';
import { listNotices, type Notice } from './warnings.js';

export interface EventRecorderOptions {
  readonly api: Pick<KubernetesApi, 'post'>;
  readonly cache: Pick<ServiceAccountCache, 'get'>;
  readonly log: Logger;
  readonly now: Now;
  /** Does not jump, as a wall clock does when it is set. */
  readonly clock: () => Milliseconds;
  readonly count: (outcome: EventOutcome) => void;
}

export const EVENT_OUTCOMES = ['sent', 'failed', 'dropped'] as const;
export type EventOutcome = (typeof EVENT_OUTCOMES)[number];

export type RecordEvent = (outcome: Outcome, request: AdmissionRequest) => void;

interface QueuedEvent {
  readonly key: string;
  readonly path: string;
  readonly event: Plain<CoreV1Event>;
}

/** At most one Event per owner and code in this time. */
const REPEAT_AFTER_MS = HOUR_MS;
/** Limit of remembered owners and codes; the oldest are forgotten first. */
const MAX_REMEMBERED = 2000;
/** Limit of Events in the queue. More are dropped, so that a slow API server costs no memory. */
const MAX_QUEUED = 100;
const TIMEOUT_MS = 5000;
/** They are never served, so the API server sends no pod of them. */
const SYSTEM: ReadonlySet<string> = new Set(SYSTEM_NAMESPACES);
/** Events of each namespace, and of all: a replica writes at most 60 or 600 an hour after the first ones. */
const EVENTS: Readonly<Record<'total' | 'each', Allowance>> = {
  total: { burst: 100, perSecond: 1 / 6 },
  each: { burst: 20, perSecond: 1 / 60 },
};
/** Limit of the message of a `v1` Event. */
const MAX_MESSAGE_BYTES = 1024;
const ALREADY_EXISTS = 409;

/**
 * Who reaches the port can send reviews of pods that do not exist. So an Event is written only where the pod's service
 * account is known, about an owner that could exist, with nothing of the pod but names, and only so often.
 * @returns a function that queues the Events of an outcome and returns at once. Events are sent one after the other; a
 *   failure is only logged and counted. Not to be called on dry runs.
 */
export function createEventRecorder({ api, cache, log, now, clock, count }: EventRecorderOptions): RecordEvent {
  const budget = createBudget({ ...EVENTS, clock });
  const recent = createRecentKeys(now);
  const queue: QueuedEvent[] = [];
  let isSending = false;

  const send = async ({ key, path, event }: QueuedEvent): Promise<void> => {
    try {
      const { status } = await api.post(path, event, TIMEOUT_MS);
      // It exists where another replica has created it in the same hour.
      if (status >= 300 && status !== ALREADY_EXISTS) throw new Error(`${path} was answered with ${status}`);
      count('sent');
    } catch (error) {
      count('failed');
      recent.forget(key);
      log.warn('an Event could not be sent', { cause: describeError(error) });
    }
  };

  const sendAll = async (): Promise<void> => {
    if (isSending) return;
    isSending = true;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await send(next);
    isSending = false;
  };

  const record = (notice: Notice, owner: OwnerReference, namespace: string): void => {
    if (queue.length >= MAX_QUEUED) {
      count('dropped');
      return;
    }
    const key = createHash('sha256').update(`${owner.uid} ${notice.code}`).digest('base64');
    if (!recent.add(key)) return;
    if (!budget.take(namespace)) {
      recent.forget(key);
      count('dropped');
      return;
    }
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    queue.push({ key, path, event: writeEvent(owner, namespace, notice, now()) });
    void sendAll();
  };

  return (outcome, { pod, namespace }) => {
    const notices = listNotices(outcome);
    const owner = notices.length === 0 ? undefined : findController(pod);
    if (owner === undefined || SYSTEM.has(namespace)) return;
    if (cache.get(namespace, readAccountName(pod)) === undefined) {
      count('dropped');
      return;
    }
    for (const notice of notices) record(notice, owner, namespace);
  };
}

/** A reason code as Kubernetes writes reasons: `no-client-id` becomes `NoClientId`. */
export function formatEventReason(code: string): string {
  return code
    .split('-')
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('');
}

/** The keys of the last hour. */
function createRecentKeys(now: Now) {
  const addedAt = new Map<string, EpochMs>();
  return {
    /** @returns false where the key was added less than an hour ago. */
    add: (key: string): boolean => {
      const moment = now();
      const last = addedAt.get(key);
      if (last !== undefined && moment - last < REPEAT_AFTER_MS) return false;
      addedAt.delete(key);
      addedAt.set(key, moment);
      const [oldest] = addedAt.keys();
      if (addedAt.size > MAX_REMEMBERED && oldest !== undefined) addedAt.delete(oldest);
      return true;
    },
    forget: (key: string): void => void addedAt.delete(key),
  };
}

/** Its name is the same in each replica for the hour, so that only one is created. */
function writeEvent(
  owner: OwnerReference,
  namespace: string,
  { code, message }: Notice,
  now: EpochMs,
): Plain<CoreV1Event> {
  const { apiVersion, kind, name, uid } = owner;
  const hour = Math.floor(now / REPEAT_AFTER_MS);
  const suffix = createHash('sha256').update(`${uid} ${code} ${hour}`).digest('hex').slice(0, 16);
  const time = formatTime(now).replace(/\.\d+Z$/, 'Z');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    // The part of a name that is cut may end with a hyphen or a dot, which no name does.
    metadata: { namespace, name: `${name.slice(0, 230).replace(/(?<![-.])[-.]+$/, '')}.${suffix}` },
    involvedObject: { apiVersion, kind, name, uid, namespace },
    type: 'Warning',
    reason: formatEventReason(code),
    action: 'Injecting',
    message: truncateBytes(`${code}: ${leaveOutFreeText(message)}`, MAX_MESSAGE_BYTES),
    source: { component: PRODUCT },
    // What events.k8s.io calls `reportingController`.
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
  const isRight = (part: unknown, isValid: (text: string) => boolean): boolean =>
    typeof part === 'string' && isValid(part);
  const isPossible =
    isRight(controller?.apiVersion, isApiVersion) &&
    isRight(controller?.kind, isKind) &&
    isRight(controller?.name, isObjectName) &&
    isRight(controller?.uid, isUid);
  return isPossible ? (controller as OwnerReference) : undefined;
}

function readAccountName(pod: unknown): string {
  const name: unknown = (pod as { spec?: { serviceAccountName?: unknown } | null } | null)?.spec?.serviceAccountName;
  return typeof name === 'string' && name !== '' ? name : 'default';
}

/** A text in quotes, also one that was cut before its end. */
const QUOTED = /"(?:[^"\\]|\\.)*(?:"|$)/g;
const QUOTED_NAME = /^"[\w./:=@-]*"$/;
/** Of a longer message the rest is never shown. */
const MAX_CLEANED = 2 * MAX_MESSAGE_BYTES;

/** One printable line without the quoted texts that are more than a name: their words may be a stranger's. */
function leaveOutFreeText(message: string): string {
  const line = cleanLine(message.slice(0, MAX_CLEANED));
  return line.replace(QUOTED, (quoted) => (QUOTED_NAME.test(quoted) ? quoted : '"…"'));
}

function truncateBytes(text: string, limit: number): string {
  if (Buffer.byteLength(text) <= limit) return text;
  const bytes = Buffer.from(text).subarray(0, limit - Buffer.byteLength('…'));
  // A character that was cut in two decodes as the replacement character.
  return `${bytes.toString('utf8').replace(/(?<!\ufffd)\ufffd+$/, '')}…`;
}

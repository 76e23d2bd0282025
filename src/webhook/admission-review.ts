/**
 * Decodes AdmissionReviews, `admission.k8s.io/v1`, and encodes their responses. PURE.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
 */
import { MAX_WARNING_LENGTH } from '../defaults.js';
import {
  DENIED_REASONS,
  LASTING_REASONS,
  type Outcome,
  PASSING_REASONS,
  type RefusalReason,
  SKIP_REASONS,
} from '../inject/index.js';
import { PRODUCT } from '../names.js';
import { isObject } from '../values/json.js';
import { isUid } from '../values/kubernetes.js';
import { cleanLine, quote, showName } from '../values/text.js';
import { findNameProblem } from './request-names.js';
import { findExcess } from './review-bounds.js';

/**
 * The API server takes requests of 3 MiB. In a review it writes the pod as JSON with its defaults, where `<`, `>` and `&`
 * have six bytes, and puts an envelope around it; `oldObject` is only in updates, which are not ours. What is larger is
 * a pod that etcd, whose limit is 1.5 MiB, would not store.
 */
export const MAX_REVIEW_BYTES = 4 * 1024 * 1024;

const REVIEW_VERSION = 'admission.k8s.io/v1';

/** The creation of a pod. */
export interface AdmissionRequest {
  readonly uid: string;
  /** The pod's own `metadata.namespace` is often empty at creation; this one is not. */
  readonly namespace: string;
  /** For messages: `name`, or `generateName` with an asterisk. */
  readonly podName: string;
  /** It must have no effect except the response. */
  readonly dryRun: boolean;
  readonly pod: unknown;
}

export type Decoded =
  | { readonly kind: 'pod'; readonly request: AdmissionRequest }
  /** Well formed, but not the creation of a pod: the rules of the webhook configuration are too wide. */
  | { readonly kind: 'not-a-pod-creation'; readonly uid: string; readonly message: string }
  /** A review that can be answered, but holds no pod or namespace, or a name that can't be one. */
  | { readonly kind: 'incomplete'; readonly uid: string; readonly message: string }
  /** Not a review, so no review can answer it. */
  | { readonly kind: 'unreadable'; readonly message: string };

const NO_REASON = [''] as const;

/**
 * How the answer to a request is named in metrics (the label `outcome`), logs and the audit log, each with the reasons that
 * it can have.
 */
export const OUTCOME_REASONS = {
  /** By the first pass over the pod, so that each pod counts once. */
  injected: NO_REASON,
  /** A later pass restored what others had changed on our items. */
  updated: NO_REASON,
  /** A later pass found nothing to do. */
  unchanged: NO_REASON,
  /** The API server applies the rules on namespaces, so that none of these pods comes here. */
  skipped: SKIP_REASONS.filter((reason) => !reason.startsWith('namespace-')),
  /** For a lasting cause; created with a warning. */
  not_injected: LASTING_REASONS,
  denied: [...LASTING_REASONS, ...DENIED_REASONS],
  /** Denied with code 503 for a temporary cause. */
  retry: PASSING_REASONS,
  /** Allowed with a warning. */
  not_a_pod_creation: NO_REASON,
  /** The request could not be read. */
  refused: NO_REASON,
  /** Answered with 503 before it was read; the API server tries again. */
  overloaded: NO_REASON,
  /** A defect of this program. */
  failed: NO_REASON,
} as const;
export type AdmissionOutcome = keyof typeof OUTCOME_REASONS;

/** The part of `metav1.Status` that gives the reason. */
export interface Status {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly details?: { readonly retryAfterSeconds: number };
}

export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patchType?: 'JSONPatch';
  /** Base64 of the RFC 6902 document. */
  readonly patch?: string;
  readonly warnings?: readonly string[];
  readonly status?: Status;
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

/** Reads a review. Never throws. Of the pod itself only the name is read. */
export function decodeReview(bytes: Buffer): Decoded {
  const excess = findExcess(bytes);
  if (excess !== undefined) return createUnreadable(`the body (${bytes.length} bytes) ${excess}: it is not read`);
  let review: unknown;
  try {
    review = JSON.parse(bytes.toString('utf8'));
  } catch {
    return createUnreadable(
      `the body (${bytes.length} bytes) is not JSON: it is empty, cut short or of another format`,
    );
  }
  if (!isObject(review)) return createUnreadable('the body is JSON, but not an object; an AdmissionReview is expected');
  if (review.kind !== 'AdmissionReview' || review.apiVersion !== REVIEW_VERSION) {
    return createUnreadable(
      `the body is ${show(review.kind)} of ${show(review.apiVersion)}; only AdmissionReview of ${REVIEW_VERSION} is ` +
        'answered: set admissionReviewVersions: ["v1"] in the webhook configuration',
    );
  }
  const { request } = review;
  if (!isObject(request)) return createUnreadable('the AdmissionReview has no request');
  if (typeof request.uid !== 'string' || request.uid === '')
    return createUnreadable('the AdmissionReview has no request.uid');
  if (!isUid(request.uid)) return createUnreadable(`request.uid ${quote(request.uid)} can't be the uid of a request`);
  return decodeRequest(request.uid, request);
}

function decodeRequest(uid: string, request: Record<string, unknown>): Decoded {
  if (!isPodCreation(request)) {
    const message = `only the CREATE of a v1 Pod is injected, this is ${describeRequest(request)}: it is not changed; correct the rules of the webhook configuration`;
    return { kind: 'not-a-pod-creation', uid, message };
  }
  if (!isObject(request.object)) {
    return { kind: 'incomplete', uid, message: 'the AdmissionReview of a Pod has no request.object' };
  }
  if (typeof request.namespace !== 'string' || request.namespace === '') {
    return { kind: 'incomplete', uid, message: 'the AdmissionReview of a Pod has no request.namespace' };
  }
  const problem = findNameProblem(request.namespace, request.object);
  if (problem !== undefined) return { kind: 'incomplete', uid, message: problem };
  return {
    kind: 'pod',
    request: {
      uid,
      namespace: request.namespace,
      podName: namePod(request.object),
      dryRun: request.dryRun === true,
      pod: request.object,
    },
  };
}

function isPodCreation({ kind, subResource, operation }: Record<string, unknown>): boolean {
  if (!isObject(kind) || kind.kind !== 'Pod' || kind.version !== 'v1') return false;
  return operation === 'CREATE' && isEmpty(kind.group) && isEmpty(subResource);
}

/** Such as `"UPDATE" of kind apps/"v1" "Deployment", subresource "scale"`. */
function describeRequest(request: Record<string, unknown>): string {
  const { group, version, kind } = isObject(request.kind) ? request.kind : {};
  const prefix = typeof group === 'string' && group !== '' ? `${showName(group)}/` : '';
  const part = isEmpty(request.subResource) ? '' : `, subresource ${show(request.subResource)}`;
  return `${show(request.operation)} of kind ${prefix}${show(version)} ${show(kind)}${part}`;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === '';
}

/** The name of the outcome in logs, metrics and the audit log. */
export function nameOutcome(outcome: Outcome): AdmissionOutcome {
  switch (outcome.kind) {
    case 'injected':
      if (outcome.patch.length === 0) return 'unchanged';
      return outcome.isLaterPass ? 'updated' : 'injected';
    case 'skipped':
      return 'skipped';
    case 'refused':
      return ({ admit: 'not_injected', deny: 'denied', retry: 'retry' } as const)[outcome.answer];
  }
}

/** The response to an outcome: a patch, warnings or a status, and small annotations for the API server's audit log. */
export function encodeOutcome(uid: string, outcome: Outcome): AdmissionResponse {
  const name = nameOutcome(outcome);
  switch (outcome.kind) {
    case 'injected': {
      const { clientId, tenantId } = outcome.status;
      return {
        uid,
        allowed: true,
        ...(outcome.patch.length > 0 && {
          patchType: 'JSONPatch',
          patch: Buffer.from(JSON.stringify(outcome.patch)).toString('base64'),
        }),
        ...(outcome.warnings.length > 0 && { warnings: outcome.warnings.map(({ message }) => writeWarning(message)) }),
        auditAnnotations: { outcome: name, 'client-id': clientId, 'tenant-id': tenantId },
      };
    }
    case 'skipped':
      return { uid, allowed: true, auditAnnotations: { outcome: name, reason: outcome.reason } };
    case 'refused': {
      const auditAnnotations = { outcome: name, reason: outcome.reason };
      if (outcome.answer === 'admit') {
        return { uid, allowed: true, warnings: [writeWarning(outcome.message)], auditAnnotations };
      }
      return {
        uid,
        allowed: false,
        status: writeStatus(outcome.reason, outcome.message, outcome.answer),
        auditAnnotations,
      };
    }
  }
}

/** The response to a review that is not the creation of a pod, or lacks the pod. */
export function encodeOther(
  decoded: Extract<Decoded, { kind: 'not-a-pod-creation' | 'incomplete' }>,
): AdmissionResponse {
  const { uid, message } = decoded;
  if (decoded.kind === 'not-a-pod-creation') return { uid, allowed: true, warnings: [writeWarning(message)] };
  return { uid, allowed: false, status: { code: 400, reason: 'BadRequest', message } };
}

/** An AdmissionReview with the response, as JSON. */
export function writeReview(response: AdmissionResponse): string {
  return JSON.stringify({ apiVersion: REVIEW_VERSION, kind: 'AdmissionReview', response });
}

/** A `Status`, where no review can be the answer: the API server shows its message to the creator of the pod. */
export function writeFailure(status: Status): string {
  return JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', ...status });
}

/** A warning that the API server passes on: one line, printable, at most 256 characters. */
export function writeWarning(message: string): string {
  const line = cleanLine(`${PRODUCT}: ${message}`);
  const characters = Array.from(line);
  if (characters.length <= MAX_WARNING_LENGTH) return line;
  const cut = characters.slice(0, MAX_WARNING_LENGTH - 1).join('');
  const lastBlank = cut.lastIndexOf(' ');
  return `${lastBlank > MAX_WARNING_LENGTH / 2 ? cut.slice(0, lastBlank) : cut}…`;
}

/**
 * The message is shown in terminals. With `retryAfterSeconds` the API server's answer to the pod's creator carries `Retry-After`. Clients built on client-go,
 * such as controllers, then try again by themselves.
 */
function writeStatus(reason: RefusalReason, text: string, answer: 'deny' | 'retry'): Status {
  const message = cleanLine(text);
  if (answer === 'retry') {
    return { code: 503, reason: 'ServiceUnavailable', message, details: { retryAfterSeconds: 1 } };
  }
  const isMalformed = (DENIED_REASONS as readonly string[]).includes(reason);
  return isMalformed ? { code: 422, reason: 'Invalid', message } : { code: 403, reason: 'Forbidden', message };
}

function namePod(pod: Record<string, unknown>): string {
  const metadata = isObject(pod.metadata) ? pod.metadata : {};
  const { name, generateName } = metadata;
  if (typeof name === 'string' && name !== '') return name;
  return typeof generateName === 'string' ? `${generateName}*` : '';
}

function createUnreadable(message: string): Decoded {
  return { kind: 'unreadable', message };
}

function show(value: unknown): string {
  return typeof value === 'string' && value !== '' ? quote(value) : 'nothing';
}

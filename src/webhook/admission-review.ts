/**
 * AdmissionReview, `admission.k8s.io/v1`: bytes in, a request or the sentence that says what is wrong with them; an
 * outcome in, the response out. https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/. PURE.
 */
import { DENIED_REASONS, type Outcome, type RefusalReason } from '../inject/index.js';
import { MAX_WARNING_LENGTH, PRODUCT } from '../names.js';
import { isObject } from '../values/json.js';

/** The API server sends reviews of up to 7 MiB; the envelope round the object may add a little. */
export const MAX_REVIEW_BYTES = 7 * 1024 * 1024 + 64 * 1024;

const REVIEW_VERSION = 'admission.k8s.io/v1';

/** The creation of a pod, as the API server asks about it. */
export interface AdmissionRequest {
  readonly uid: string;
  /** The pod's own `metadata.namespace` is often empty at creation; this one is not. */
  readonly namespace: string;
  /** For people: `name`, or `generateName` with an asterisk. */
  readonly podName: string;
  /** Nothing but the response may come of it. */
  readonly dryRun: boolean;
  readonly pod: unknown;
}

export type Decoded =
  | { readonly kind: 'pod'; readonly request: AdmissionRequest }
  /** Well formed, but nothing that is injected: the webhook's configuration sends too much. */
  | { readonly kind: 'foreign'; readonly uid: string; readonly message: string }
  /** A review that can be answered but not served. */
  | { readonly kind: 'incomplete'; readonly uid: string; readonly message: string }
  /** Not a review that could be answered as one. */
  | { readonly kind: 'unreadable'; readonly message: string };

/** What became of a request; a label of metrics and a field of logs. */
export const ADMISSION_RESULTS = [
  'injected',
  /** An earlier pass had done it all. */
  'unchanged',
  'skipped',
  /** Not served for a lasting cause, and created all the same, with a warning. */
  'admitted',
  'denied',
  /** Denied with code 503 for a cause that passes. */
  'retry',
  /** Not a pod's creation: allowed with a warning. */
  'foreign',
  /** Could not be read. */
  'refused',
  /** Turned away before it was read; the API server tries again. */
  'overloaded',
  /** A defect of this program. */
  'failed',
] as const;
export type AdmissionResult = (typeof ADMISSION_RESULTS)[number];

/** `metav1.Status`, the part of it that says why not. */
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

/** Reads a review. Never throws; of the pod itself nothing is looked at but its name. */
export function decodeReview(bytes: Buffer): Decoded {
  let review: unknown;
  try {
    review = JSON.parse(bytes.toString('utf8'));
  } catch {
    return unreadable(`the body (${bytes.length} bytes) is not JSON: it is empty, cut short or of another format`);
  }
  if (!isObject(review)) return unreadable('the body is JSON, but not an object; an AdmissionReview is expected');
  if (review.kind !== 'AdmissionReview' || review.apiVersion !== REVIEW_VERSION) {
    return unreadable(
      `the body is ${show(review.kind)} of ${show(review.apiVersion)}; only AdmissionReview of ${REVIEW_VERSION} is ` +
        'answered: set admissionReviewVersions: ["v1"] in the webhook configuration',
    );
  }
  const { request } = review;
  if (!isObject(request)) return unreadable('the AdmissionReview has no request');
  if (typeof request.uid !== 'string' || request.uid === '')
    return unreadable('the AdmissionReview has no request.uid');
  return decodeRequest(request.uid, request);
}

function decodeRequest(uid: string, request: Record<string, unknown>): Decoded {
  const kind = isObject(request.kind) ? request.kind : {};
  const isPod = kind.kind === 'Pod' && kind.version === 'v1' && (kind.group === undefined || kind.group === '');
  const isWhole = request.subResource === undefined || request.subResource === '';
  if (!isPod || !isWhole || request.operation !== 'CREATE') {
    const group = typeof kind.group === 'string' && kind.group !== '' ? `${kind.group}/` : '';
    const subject = `${show(request.operation)} of kind ${group}${show(kind.version)} ${show(kind.kind)}`;
    const part = isWhole ? '' : `, subresource ${show(request.subResource)}`;
    return {
      kind: 'foreign',
      uid,
      message: `only the CREATE of a v1 Pod is injected, this is ${subject}${part}: it is left as it is; correct the rules of the webhook configuration`,
    };
  }
  if (!isObject(request.object)) {
    return { kind: 'incomplete', uid, message: 'the AdmissionReview of a Pod has no request.object' };
  }
  if (typeof request.namespace !== 'string' || request.namespace === '') {
    return { kind: 'incomplete', uid, message: 'the AdmissionReview of a Pod has no request.namespace' };
  }
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

/** What the outcome is called in logs, metrics and the audit log. */
export function nameResult(outcome: Outcome): AdmissionResult {
  switch (outcome.kind) {
    case 'injected':
      return outcome.patch.length > 0 ? 'injected' : 'unchanged';
    case 'skipped':
      return 'skipped';
    case 'refused':
      return ({ admit: 'admitted', deny: 'denied', retry: 'retry' } as const)[outcome.answer];
  }
}

/** The response to an outcome: a patch, warnings or a status, and small annotations for the API server's audit log. */
export function encodeOutcome(uid: string, outcome: Outcome): AdmissionResponse {
  const result = nameResult(outcome);
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
        auditAnnotations: { outcome: result, 'client-id': clientId, 'tenant-id': tenantId },
      };
    }
    case 'skipped':
      return { uid, allowed: true, auditAnnotations: { outcome: result, reason: outcome.reason } };
    case 'refused': {
      const auditAnnotations = { outcome: result, reason: outcome.reason };
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

/** The response to a review that could be read but is none of a pod's creation, or lacks the pod. */
export function encodeOther(decoded: Extract<Decoded, { kind: 'foreign' | 'incomplete' }>): AdmissionResponse {
  const { uid, message } = decoded;
  if (decoded.kind === 'foreign') return { uid, allowed: true, warnings: [writeWarning(message)] };
  return { uid, allowed: false, status: { code: 400, reason: 'BadRequest', message } };
}

/** The bytes of a review that carries the response. */
export function writeReview(response: AdmissionResponse): string {
  return JSON.stringify({ apiVersion: REVIEW_VERSION, kind: 'AdmissionReview', response });
}

/** An answer that is no review, as a `Status`: the API server shows its message to whoever created the pod. */
export function writeFailure(status: Status): string {
  return JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', ...status });
}

/** A warning as the API server passes it on: one line, printable, at most 256 characters. */
export function writeWarning(message: string): string {
  const line = `${PRODUCT}: ${message}`.replace(/[\p{C}\p{Z}]+/gu, ' ').trim();
  const characters = Array.from(line);
  if (characters.length <= MAX_WARNING_LENGTH) return line;
  const cut = characters.slice(0, MAX_WARNING_LENGTH - 1).join('');
  const lastBlank = cut.lastIndexOf(' ');
  return `${lastBlank > MAX_WARNING_LENGTH / 2 ? cut.slice(0, lastBlank) : cut}…`;
}

/**
 * With `retryAfterSeconds` the API server's answer to the pod's creator carries `Retry-After`, so clients built on
 * client-go, controllers among them, try again by themselves.
 */
function writeStatus(reason: RefusalReason, message: string, answer: 'deny' | 'retry'): Status {
  if (answer === 'retry') {
    return { code: 503, reason: 'ServiceUnavailable', message, details: { retryAfterSeconds: 1 } };
  }
  const isMalformed = (DENIED_REASONS as readonly string[]).includes(reason);
  return isMalformed ? { code: 422, reason: 'Invalid', message } : { code: 403, reason: 'Forbidden', message };
}

function namePod(pod: Record<string, unknown>): string {
  const metadata = isObject(pod.metadata) ? pod.metadata : {};
  if (typeof metadata.name === 'string' && metadata.name !== '') return metadata.name;
  return typeof metadata.generateName === 'string' ? `${metadata.generateName}*` : '';
}

function unreadable(message: string): Decoded {
  return { kind: 'unreadable', message };
}

function show(value: unknown): string {
  return typeof value === 'string' && value !== '' ? JSON.stringify(value.slice(0, 80)) : 'nothing';
}

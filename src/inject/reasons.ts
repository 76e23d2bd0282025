/**
 * Why a pod is not injected, and what the author of an injected one should know. The lists are closed: logs, metrics,
 * Events, the CLI and the documentation share them. PURE.
 */

/** The pod is not meant to be injected: it is admitted silently. */
export const SKIP_REASONS = [
  'not-labelled',
  'namespace-not-enabled',
  'namespace-excluded',
  'disabled',
  'mirror-pod',
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** The pod can't be served. A pod that asks by name is denied; any other is admitted unchanged, with a warning. */
export const LASTING_REASONS = [
  'malformed-pod',
  'windows',
  'no-containers',
  'no-service-account',
  'no-client-id',
  'no-tenant-id',
  'invalid-identity',
  'not-available',
  'name-taken',
  'path-taken',
  'port-taken',
  'startup-without-network',
  'settings-too-large',
] as const;
export type LastingReason = (typeof LASTING_REASONS)[number];

/** An annotation of the group can't be honoured, for its value or its name: always denied. */
export const DENIED_REASONS = ['invalid-annotation', 'not-enforceable', 'reserved-annotation'] as const;
export type DeniedReason = (typeof DENIED_REASONS)[number];

/** A temporary cause: always denied, with code 503, so that controllers try again. */
export const PASSING_REASONS = ['service-account-unavailable'] as const;
export type PassingReason = (typeof PASSING_REASONS)[number];

export type RefusalReason = LastingReason | DeniedReason | PassingReason;
export type Reason = SkipReason | RefusalReason;

/** What the author of an injected pod should know. */
export const WARNING_CODES = [
  'unknown-annotation',
  'unknown-container',
  'env-channel-left-alone',
  'system-channel-left-alone',
  'system-file-hidden',
  'startup-proceeds',
  'processes-shared',
] as const;
export type WarningCode = (typeof WARNING_CODES)[number];

/** What a message is about. */
export type Subject = 'pod' | 'service-account';

export interface Warning {
  readonly code: WarningCode;
  readonly subject: Subject | { readonly container: string };
  /** A sentence that names the subject. */
  readonly message: string;
}

export interface Skipped {
  readonly kind: 'skipped';
  readonly reason: SkipReason;
  /** A sentence that names the pod. */
  readonly message: string;
}

/** Why a pod can't be served. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly subject: Subject;
  /** Names the subject, the field, the wrong value and what fixes it. */
  readonly message: string;
}

/** A cause in the pod itself; the clause follows the pod's name. */
export interface PodRefusal {
  readonly reason: RefusalReason;
  readonly clause: string;
}

/** A refusal with its answer. */
export interface Refused extends Refusal {
  readonly kind: 'refused';
  /**
   * - `deny`: the pod is not created.
   * - `retry`: the pod is not created, and the answer has code 503.
   * - `admit`: the pod is created unchanged, with the message as a warning.
   */
  readonly answer: 'deny' | 'retry' | 'admit';
}

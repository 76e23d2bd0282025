/** Why a pod is not injected, and what the author of an injected one should know: closed lists that logs, metrics, Events, the CLI and the documentation share. PURE. */

/** Nothing is amiss: the pod is not meant to be injected, and nothing is said. */
export const SKIP_REASONS = [
  'not-labelled',
  'namespace-not-enabled',
  'namespace-excluded',
  'disabled',
  'mirror-pod',
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** The pod can't be served. A pod that asks by name is denied, another is admitted unchanged with a warning. */
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

/** What its author wrote into an annotation of the group can't be done: always denied. */
export const DENIED_REASONS = ['invalid-annotation', 'not-enforceable', 'reserved-annotation'] as const;
export type DeniedReason = (typeof DENIED_REASONS)[number];

/** A cause that passes by itself: always denied with code 503, so that controllers try again. */
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
] as const;
export type WarningCode = (typeof WARNING_CODES)[number];

export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
}

export interface Skipped {
  readonly kind: 'skipped';
  readonly reason: SkipReason;
  readonly message: string;
}

export interface Refused {
  readonly kind: 'refused';
  readonly reason: RefusalReason;
  /** Names the object, the field, the bad value and what mends it. */
  readonly message: string;
  /** `deny`: the pod is not created. `retry`: nor is it, with code 503. `admit`: it is created unchanged, with the message as warning. */
  readonly answer: 'deny' | 'retry' | 'admit';
}

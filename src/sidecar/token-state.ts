/** What is known of one identity's token, and what that means at a moment. PURE. */
import { FIRST_TOKEN_WAIT_SECONDS } from '../defaults.js';
import type { FailureClass } from '../entra/failure.js';
import type { Identity } from '../entra/identity.js';
import { FAILURE_CLASSES } from '../entra/schedule.js';
import type { Startup } from '../names.js';
import type { EpochMs, Milliseconds } from '../time.js';
import type { RecordedFailure, Snapshot } from './message-for-git.js';
import { type Instant, measureTimeLeftMs, type Token } from './token.js';

export interface TokenState {
  readonly identity: Identity;
  readonly startedAt: Instant;
  /** The token that is in the file. */
  readonly served: Token | undefined;
  /** A newer one that is not in the file yet. */
  readonly unwritten: Token | undefined;
  /** When the last token expired without a new one. */
  readonly expired: Instant | undefined;
  readonly failure: RecordedFailure | undefined;
  readonly failuresInRow: number;
  /** When the message of the last failure was logged in full, and how often it came since. */
  readonly logged: { readonly at: Milliseconds; readonly repeated: number } | undefined;
  /** Start of the series of failures that all have the class of the last one. */
  readonly sameClassSince: Milliseconds | undefined;
  readonly isAsking: boolean;
  /** After a failure: when to ask again, by the clock that does not jump. */
  readonly pausedUntil: Milliseconds | undefined;
  /** When to ask next, for people. */
  readonly nextAskAt: EpochMs | undefined;
  readonly lastSuccessAt: EpochMs | undefined;
  /** Whether a token has been served at any time. */
  readonly wasReady: boolean;
  /** Whether an answer ever said that waiting does not help. */
  readonly hasPermanentFailure: boolean;
  /** Exchanges since the start. */
  readonly successes: number;
  readonly failures: ReadonlyMap<FailureClass, number>;
}

/**
 * Limit on each sleep. Within this time a clock that was set, or a machine that slept, is noticed, and a directory that
 * can't be written is tried again.
 */
const MAX_SLEEP_MS = 5_000;

export function createTokenState(identity: Identity, startedAt: Instant): TokenState {
  return {
    identity,
    startedAt,
    served: undefined,
    unwritten: undefined,
    expired: undefined,
    failure: undefined,
    failuresInRow: 0,
    logged: undefined,
    sameClassSince: undefined,
    isAsking: false,
    pausedUntil: undefined,
    nextAskAt: undefined,
    lastSuccessAt: undefined,
    wasReady: false,
    hasPermanentFailure: false,
    successes: 0,
    // Each class from 0 on: Prometheus does not see the first event of a series that appears with it.
    failures: new Map(FAILURE_CLASSES.map((kind) => [kind, 0])),
  };
}

/** Whether a valid token is in its file. */
export function isReady({ served }: TokenState, at: Instant): boolean {
  return served !== undefined && measureTimeLeftMs(served, at) > 0;
}

/** Whether containers may start under the rule. */
export function hasStarted(state: TokenState, startup: Startup, at: Instant): boolean {
  switch (startup) {
    case 'proceed':
      return true;
    case 'wait':
      return state.wasReady || state.hasPermanentFailure || isOverdue(state, at);
    case 'require':
      return state.wasReady;
  }
}

/** What the state means to readers at this moment. */
export function describe(state: TokenState, at: Instant, storeProblem: string | undefined): Snapshot {
  return {
    identity: state.identity,
    expiresAt: isReady(state, at) ? state.served?.endsAt.epochMs : undefined,
    expiredAt: state.expired?.epochMs,
    renewAt: state.nextAskAt,
    lastExchangeAt: state.lastSuccessAt,
    failure: state.failure,
    storeProblem,
    overdue: isOverdue(state, at),
  };
}

/** How long until the next tick, which is due when something changes by itself. */
export function chooseSleepMs(state: TokenState, at: Instant): number {
  const spans = [MAX_SLEEP_MS];
  if (!state.isAsking) spans.push(measureTimeToAskMs(state, at));
  if (state.served !== undefined) spans.push(measureTimeLeftMs(state.served, at));
  if (!isOverdue(state, at)) spans.push(FIRST_TOKEN_WAIT_SECONDS * 1000 - measureRunMs(state, at));
  return Math.max(Math.min(...spans), 1);
}

/** How long until Entra is to be asked; 0 or less when it is time. */
export function measureTimeToAskMs({ pausedUntil, unwritten, served }: TokenState, at: Instant): number {
  if (pausedUntil !== undefined) return pausedUntil - at.elapsedMs;
  const token = unwritten ?? served;
  return token === undefined ? 0 : measureTimeLeftMs(token, at) - token.renewBeforeEndMs;
}

function measureRunMs({ startedAt }: TokenState, at: Instant): number {
  return at.elapsedMs - startedAt.elapsedMs;
}

function isOverdue(state: TokenState, at: Instant): boolean {
  return measureRunMs(state, at) >= FIRST_TOKEN_WAIT_SECONDS * 1000;
}

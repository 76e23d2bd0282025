/** A token and its end by two clocks: one can be set and runs on while the machine sleeps, the other does neither. PURE. */
import { chooseRenewalSeconds } from '../entra/schedule.js';
import { addMs, type EpochMs, type Milliseconds, milliseconds, toEpochSeconds } from '../time.js';
import type { Credential } from './state-directory.js';

/** One moment by both clocks. */
export interface Instant {
  readonly epochMs: EpochMs;
  /** Since an arbitrary moment; never jumps. */
  readonly elapsedMs: Milliseconds;
}

export interface Clock {
  readonly read: () => Instant;
  /** Runs the action after the span; returns what cancels it. */
  readonly after: (spanMs: number, action: () => void) => () => void;
}

export interface Token extends Credential {
  readonly endsAt: Instant;
  /** The token is renewed when this much of its life is left. */
  readonly renewBeforeEndMs: number;
}

/** What the life of a token is made from. */
export interface TokenLife {
  readonly since: Instant;
  readonly lifeMs: number;
  /** Where Entra asks for an early renewal. */
  readonly refreshInSeconds?: number | undefined;
  /** From 0 to 1, for the jitter of the renewal. */
  readonly random: number;
}

export function createToken(token: string, { since, lifeMs, refreshInSeconds, random }: TokenLife): Token {
  const endsAt = {
    epochMs: addMs(since.epochMs, lifeMs),
    elapsedMs: milliseconds(since.elapsedMs + lifeMs),
  };
  return {
    token,
    expiresAtSeconds: toEpochSeconds(endsAt.epochMs),
    endsAt,
    renewBeforeEndMs: lifeMs - chooseRenewalSeconds(lifeMs / 1000, refreshInSeconds, random) * 1000,
  };
}

/** For how long the token is valid by both clocks; 0 or less when it has expired. */
export function measureTimeLeftMs(token: Token, at: Instant): number {
  return Math.min(token.endsAt.epochMs - at.epochMs, token.endsAt.elapsedMs - at.elapsedMs);
}

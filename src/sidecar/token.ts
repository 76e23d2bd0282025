/** A token and its end by two clocks: the wall clock can be set and runs on while the machine sleeps, the other does neither. */
import { chooseRenewal } from '../entra/schedule.js';
import type { Credential } from './state-directory.js';

/** Both give milliseconds. */
export interface Clock {
  /** Since 1970. */
  readonly now: () => number;
  /** Since some moment; never jumps. */
  readonly elapsed: () => number;
  /** Runs the action later; gives what cancels it. */
  readonly after: (milliseconds: number, action: () => void) => () => void;
}

/** One moment by both clocks. */
export interface Instant {
  readonly now: number;
  readonly elapsed: number;
}

export interface Token extends Credential {
  readonly endsAt: Instant;
  /** It is renewed when so many milliseconds are left. */
  readonly renewBeforeEnd: number;
}

/**
 * @param life milliseconds from `since`.
 * @param refreshIn seconds, where Entra asks for an early renewal.
 * @param random from 0 to 1.
 */
export function makeToken(
  token: string,
  life: number,
  refreshIn: number | undefined,
  since: Instant,
  random: number,
): Token {
  return {
    token,
    expiresAt: Math.floor((since.now + life) / 1000),
    endsAt: { now: since.now + life, elapsed: since.elapsed + life },
    renewBeforeEnd: life - chooseRenewal(life / 1000, refreshIn, random) * 1000,
  };
}

/** Milliseconds for which the token is valid by both clocks; 0 or less when it has ended. */
export function timeLeft(token: Token, clock: Clock): number {
  return Math.min(token.endsAt.now - clock.now(), token.endsAt.elapsed - clock.elapsed());
}

/** When to ask Entra: renewal while a token is valid, and pauses after failures. All times are seconds. PURE. */
import type { Failure } from './failure.js';

/**
 * Seconds after the exchange at which the token is renewed: at 80 % of its life or five minutes before its end, whichever
 * is earlier, but not before half of it; earlier where Entra's `refresh_in` asks for it (on its account alone never before
 * 10 % of the life nor within 30 s); plus up to 5 % of the life, so that many pods don't ask at once.
 * @param life of the token; of an adopted one what is left of it.
 * @param random from 0 to 1.
 */
export function chooseRenewal(life: number, refreshIn: number | undefined, random: number): number {
  const own = Math.max(Math.min(life * 0.8, life - 300), life / 2);
  const asked = refreshIn === undefined ? own : Math.max(refreshIn, life * 0.1, 30);
  return Math.min(own, asked) + random * life * 0.05;
}

export interface Circumstances {
  /** Failures in a row before this one. */
  readonly earlierFailures: number;
  /** What is left of the valid token, if there is one. */
  readonly remaining: number | undefined;
  /** How long there has been no valid token. */
  readonly without: number;
}

const CONFIG_PAUSE = 60;
const SLOW_PAUSE = 300;
/** A server may ask for any wait; beyond this it is taken for nonsense. */
const MAX_RETRY_AFTER = 86_400;

/** Seconds from a failure to the next exchange. `Retry-After` is obeyed on 429; elsewhere it can't pass the back-off's limit. */
export function choosePause(failure: Failure, circumstances: Circumstances): number {
  const asked = Math.min(failure.retryAfter ?? 0, MAX_RETRY_AFTER);
  const own = chooseOwnPause(failure, asked, circumstances);
  return failure.throttled === true ? Math.max(own, asked) : own;
}

function chooseOwnPause(failure: Failure, asked: number, circumstances: Circumstances): number {
  const backOff = (): number => {
    const limit = limitPause(circumstances);
    return Math.min(Math.max(2 ** Math.min(circumstances.earlierFailures, 10), asked), limit);
  };
  if (failure.quick === true) return backOff();
  switch (failure.class) {
    case 'config':
      return CONFIG_PAUSE;
    case 'retry-slowly':
    case 'never-hammer':
    case 'our-defect':
      return SLOW_PAUSE;
    case 're-read-once':
      return 0;
    case 'loop':
      return Math.min(CONFIG_PAUSE * 2 ** Math.min(circumstances.earlierFailures, 10), SLOW_PAUSE);
    case 'propagation':
    case 'throttle':
    case 'transient':
    case 'assertion':
    case 'transport':
    case 'tls-untrusted':
    case 'proxy-refused':
    case 'bad-answer':
      return backOff();
  }
}

function limitPause({ remaining, without }: Circumstances): number {
  if (remaining !== undefined) return Math.min(Math.max(remaining / 10, 1), 30);
  return without < 120 ? 5 : 30;
}

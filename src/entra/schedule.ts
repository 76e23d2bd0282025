/** When to ask Entra: renewal while a token is valid, and pauses after failures. All spans are in seconds. PURE. */
import type { Failure, FailureClass } from './failure.js';

/**
 * Seconds from the exchange to the renewal of its token: 80 % of the token's life, or five minutes before its end if that
 * is earlier, but not before half of its life. Entra's `refresh_in` makes it earlier, though never earlier than 10 % of
 * the life or 30 s. Up to 5 % of the life is added, so that many pods don't ask at once.
 * @param lifeSeconds of the token; for an adopted one, what is left of it.
 * @param random from 0 to 1.
 */
export function chooseRenewalSeconds(
  lifeSeconds: number,
  refreshInSeconds: number | undefined,
  random: number,
): number {
  const own = Math.max(Math.min(lifeSeconds * 0.8, lifeSeconds - 300), lifeSeconds / 2);
  const asked = refreshInSeconds === undefined ? own : Math.max(refreshInSeconds, lifeSeconds * 0.1, 30);
  return Math.min(own, asked) + random * lifeSeconds * 0.05;
}

export interface Circumstances {
  /** Failures in a row before this one. */
  readonly earlierFailures: number;
  /** What is left of the valid token, if there is one. */
  readonly remainingSeconds: number | undefined;
  /** How long there has been no valid token. */
  readonly withoutTokenSeconds: number;
  /** How long all failures in a row have been of this class. */
  readonly sameClassSeconds: number;
}

const CONFIG_PAUSE_SECONDS = 60;
const SLOW_PAUSE_SECONDS = 300;
/** A server may ask for any wait; a longer one is not believed. */
const MAX_RETRY_AFTER_SECONDS = 86_400;
/** For this long the back-off is kept short without a valid token, and a fault that may pass is asked about quickly. */
const EAGER_SECONDS = 120;

/** Seconds to the next exchange. `asked` is what the answer asked for. */
type PauseRule = (circumstances: Circumstances, asked: number) => number;

const waitForPeople: PauseRule = () => CONFIG_PAUSE_SECONDS;
const waitLong: PauseRule = () => SLOW_PAUSE_SECONDS;
const backOff: PauseRule = (circumstances, asked) =>
  Math.min(Math.max(doublePerFailure(1, circumstances), asked), limitBackOff(circumstances));

const PAUSES: Readonly<Record<FailureClass, PauseRule>> = {
  config: waitForPeople,
  'retry-slowly': waitLong,
  'never-hammer': waitLong,
  'our-defect': waitLong,
  're-read-once': () => 0,
  loop: (circumstances) => Math.min(doublePerFailure(CONFIG_PAUSE_SECONDS, circumstances), SLOW_PAUSE_SECONDS),
  propagation: backOff,
  throttle: backOff,
  transient: backOff,
  assertion: backOff,
  transport: backOff,
  'tls-untrusted': backOff,
  'proxy-refused': backOff,
  'bad-answer': backOff,
};

export const FAILURE_CLASSES = Object.keys(PAUSES) as readonly FailureClass[];

/** Seconds from a failure to the next exchange. `Retry-After` is obeyed on 429; elsewhere the back-off limits it. */
export function choosePauseSeconds(failure: Failure, circumstances: Circumstances): number {
  const asked = Math.min(failure.retryAfterSeconds ?? 0, MAX_RETRY_AFTER_SECONDS);
  const own = chooseRule(failure, circumstances)(circumstances, asked);
  return failure.throttled === true ? Math.max(own, asked) : own;
}

/** Of the quick ones, those that are of a class to retry slowly are quick only at first. */
function chooseRule(failure: Failure, { sameClassSeconds }: Circumstances): PauseRule {
  const isQuick = failure.quick && (failure.class !== 'retry-slowly' || sameClassSeconds < EAGER_SECONDS);
  return isQuick ? backOff : PAUSES[failure.class];
}

/** The span, doubled for each earlier failure. */
function doublePerFailure(seconds: number, { earlierFailures }: Circumstances): number {
  return seconds * 2 ** Math.min(earlierFailures, 10);
}

function limitBackOff({ remainingSeconds, withoutTokenSeconds }: Circumstances): number {
  if (remainingSeconds !== undefined) return Math.min(Math.max(remainingSeconds / 10, 1), 30);
  return withoutTokenSeconds < EAGER_SECONDS ? 5 : 30;
}

/** How events change what is known of a token, and what has to be done then. Times and random numbers come with the events. PURE. */
import { judgeRepetition, type TokenAnswer } from '../entra/answer.js';
import { type Failure, mayResolveByWaiting } from '../entra/failure.js';
import { choosePauseSeconds } from '../entra/schedule.js';
import { abbreviate, type LogFields } from '../log.js';
import { addMs, DAY_MS, type EpochMs, epochMs, formatTime, HOUR_MS, milliseconds, toEpochMs } from '../time.js';
import type { Credential } from './state-directory.js';
import { createToken, type Instant, measureTimeLeftMs, type Token } from './token.js';
import { isReady, measureTimeToAskMs, type TokenState } from './token-state.js';

export type TokenEvent =
  /** An earlier run left this in the credential file. */
  | { readonly kind: 'adopted'; readonly credential: Credential; readonly random: number }
  | { readonly kind: 'acquired'; readonly answer: TokenAnswer; readonly askedAt: Instant; readonly random: number }
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** The unwritten token is in the file. */
  | { readonly kind: 'written' }
  /** Time has passed, or something has happened. */
  | { readonly kind: 'tick' };

export type Effect =
  | {
      readonly kind: 'log';
      readonly level: 'error' | 'warn' | 'info';
      readonly message: string;
      readonly fields: LogFields;
    }
  /** Bring the files in line with the state. */
  | { readonly kind: 'publish' }
  /** Ask Entra for a token. */
  | { readonly kind: 'ask' };

export interface Transition {
  readonly state: TokenState;
  /** In the order in which they are to be carried out. */
  readonly effects: readonly Effect[];
}

/** A file whose token claims to live longer is not believed. */
const MAX_ADOPTED_LIFE_MS = 30 * DAY_MS;

/** What an event at this moment changes, and what has to be done then. */
export function advance(state: TokenState, event: TokenEvent, at: Instant): Transition {
  switch (event.kind) {
    case 'adopted':
      return adopt(state, event.credential, event.random, at);
    case 'acquired':
      return acquire(state, event, at);
    case 'failed':
      return fail(state, event.failure, at);
    case 'written':
      return { state: serveUnwritten(state), effects: [] };
    case 'tick':
      return tick(state, at);
  }
}

function adopt(state: TokenState, { token, expiresAtSeconds }: Credential, random: number, at: Instant): Transition {
  const lifeMs = toEpochMs(expiresAtSeconds) - at.epochMs;
  if (lifeMs <= 0 || lifeMs > MAX_ADOPTED_LIFE_MS) return { state, effects: [] };
  const served = createToken(token, { since: at, lifeMs, random });
  return {
    state: { ...state, served, wasReady: true, nextAskAt: chooseRenewalTime(served) },
    effects: [logInfo('adopted a valid token from an earlier run', { expiresAt: formatTime(served.endsAt.epochMs) })],
  };
}

function acquire(
  state: TokenState,
  { answer, askedAt, random }: TokenEvent & { readonly kind: 'acquired' },
  at: Instant,
): Transition {
  const { accessToken, expiresInSeconds, refreshInSeconds } = answer;
  const life = { since: askedAt, lifeMs: expiresInSeconds * 1000, refreshInSeconds, random };
  const unwritten = createToken(accessToken, life);
  const nextAskAt = chooseRenewalTime(unwritten);
  return {
    state: {
      ...state,
      unwritten,
      nextAskAt,
      isAsking: false,
      failure: undefined,
      failuresInRow: 0,
      pausedUntil: undefined,
      lastSuccessAt: at.epochMs,
      successes: state.successes + 1,
    },
    effects: [
      logInfo('token acquired', { expiresAt: formatTime(unwritten.endsAt.epochMs), renewAt: formatTime(nextAskAt) }),
    ],
  };
}

function fail(state: TokenState, answered: Failure, at: Instant): Transition {
  const failure = judgeRepetition(answered, state.failure);
  const isSameClass = state.failure?.class === failure.class;
  const sameClassSince = (isSameClass ? state.sameClassSince : undefined) ?? at.elapsedMs;
  const pauseSeconds = choosePauseSeconds(failure, {
    earlierFailures: state.failuresInRow,
    remainingSeconds:
      state.served !== undefined && isReady(state, at) ? measureTimeLeftMs(state.served, at) / 1000 : undefined,
    withoutTokenSeconds: (at.elapsedMs - (state.expired ?? state.startedAt).elapsedMs) / 1000,
    sameClassSeconds: (at.elapsedMs - sameClassSince) / 1000,
  });
  const { message, code, class: kind, detail, traceId, correlationId } = failure;
  const logged = countRepetition(state, message, at);
  const { repeated } = logged;
  return {
    state: {
      ...state,
      isAsking: false,
      failure: { ...failure, at: at.epochMs },
      failuresInRow: state.failuresInRow + 1,
      logged,
      sameClassSince,
      pausedUntil: milliseconds(at.elapsedMs + pauseSeconds * 1000),
      nextAskAt: roundMoment(addMs(at.epochMs, pauseSeconds * 1000)),
      hasPermanentFailure: state.hasPermanentFailure || !mayResolveByWaiting(failure),
      failures: new Map(state.failures).set(kind, (state.failures.get(kind) ?? 0) + 1),
    },
    effects: [
      {
        kind: 'log',
        level: 'warn',
        message: repeated === 0 ? message : abbreviate(message),
        fields: {
          code,
          class: kind,
          ...(repeated === 0 ? { detail } : { repeated }),
          traceId,
          correlationId,
          nextInSeconds: pauseSeconds,
        },
      },
    ],
  };
}

/** The same message is logged in full once an hour. */
function countRepetition({ failure, logged }: TokenState, message: string, at: Instant): TokenState['logged'] & object {
  const isSame = failure?.message === message && logged !== undefined && at.elapsedMs - logged.at < HOUR_MS;
  return isSame ? { ...logged, repeated: logged.repeated + 1 } : { at: at.elapsedMs, repeated: 0 };
}

function serveUnwritten(state: TokenState): TokenState {
  if (state.unwritten === undefined) return state;
  return { ...state, served: state.unwritten, unwritten: undefined, expired: undefined, wasReady: true };
}

function tick(before: TokenState, at: Instant): Transition {
  const { state, effects } = dropExpired(before, at);
  const isDue = !state.isAsking && measureTimeToAskMs(state, at) <= 0;
  if (!isDue) return { state, effects: [...effects, { kind: 'publish' }] };
  return { state: { ...state, isAsking: true }, effects: [...effects, { kind: 'publish' }, { kind: 'ask' }] };
}

function dropExpired(state: TokenState, at: Instant): Transition {
  const isUseless = state.unwritten !== undefined && measureTimeLeftMs(state.unwritten, at) <= 0;
  const unwritten = isUseless ? undefined : state.unwritten;
  if (state.served === undefined || isReady(state, at)) return { state: { ...state, unwritten }, effects: [] };
  const expired = { epochMs: state.served.endsAt.epochMs, elapsedMs: at.elapsedMs };
  const fields = { expiredAt: formatTime(expired.epochMs) };
  return {
    state: { ...state, unwritten, served: undefined, expired, failuresInRow: 0 },
    effects: [{ kind: 'log', level: 'error', message: 'token expired, no new token yet', fields }],
  };
}

function chooseRenewalTime({ endsAt, renewBeforeEndMs }: Token): EpochMs {
  return roundMoment(addMs(endsAt.epochMs, -renewBeforeEndMs));
}

function roundMoment(moment: EpochMs): EpochMs {
  return epochMs(Math.round(moment));
}

function logInfo(message: string, fields: LogFields): Effect {
  return { kind: 'log', level: 'info', message, fields };
}

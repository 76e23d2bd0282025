/** Entra's answer, parsed once. Bodies can be empty, HTML, plain text or lies; none of it gets further than here. PURE. */
import { redact } from '../log.js';
import { asksForRereading, classify } from './aadsts.js';
import { type AnswerClass, createLocalFailure, type Failure, toOneLine } from './failure.js';
import type { Presented } from './identity.js';

/** What came over the wire, before anything is made of it. */
export interface RawAnswer {
  readonly status: number;
  readonly retryAfter?: string | undefined;
  readonly body: string;
}

export type Answer =
  | {
      readonly kind: 'token';
      readonly accessToken: string;
      /** Seconds. */
      readonly expiresIn: number;
      /** Seconds, where Entra asks for an early renewal. */
      readonly refreshIn: number | undefined;
    }
  | { readonly kind: 'failure'; readonly failure: Failure };

type Body = Readonly<Record<string, unknown>>;

/** Longest life of a token that is believed, seconds. Entra's live a day at most. */
const MAX_LIFE = 30 * 86400;

/** @param now milliseconds since 1970, for a `Retry-After` that is a date. */
export function parseAnswer(raw: RawAnswer, shown: Presented, now: number): Answer {
  const body = parseJsonObject(raw.body);
  if (raw.status === 200) return parseToken(body, shown);
  return { kind: 'failure', failure: parseRefusal(raw, body, shown, now) };
}

/** What a failure comes to after the one before: a token that was read afresh and refused again is a matter of configuration. */
export function judgeRepetition(failure: Failure, previous: Failure | undefined): Failure {
  const again = failure.class === 're-read-once' && asksForRereading(previous?.aadsts);
  return again ? { ...failure, class: 'config' } : failure;
}

/** Seconds that a `Retry-After` asks for (RFC 9110 section 10.2.3), or `undefined` for none that can be read. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}

function parseToken(body: Body | undefined, shown: Presented): Answer {
  const fail = (what: string): Answer => ({
    kind: 'failure',
    failure: createLocalFailure(
      'bad-answer',
      'bad-answer',
      `${shown.authority} answered 200, but ${what}. Is it Entra, and no proxy or sign-in page on the way?`,
    ),
  });
  if (body === undefined) return fail('not with JSON');
  const { access_token: accessToken, token_type: type, refresh_in: refreshIn } = body;
  if (typeof accessToken !== 'string' || !/^[\x21-\x7e]+$/.test(accessToken))
    return fail('with no usable access_token');
  if (type !== undefined && (typeof type !== 'string' || type.toLowerCase() !== 'bearer')) {
    return fail('with a token_type that is not Bearer');
  }
  const expiresIn = toNumber(body['expires_in']);
  if (expiresIn === undefined || !(expiresIn >= 1 && expiresIn <= MAX_LIFE)) {
    return fail('with no usable expires_in');
  }
  const refresh = toNumber(refreshIn);
  return {
    kind: 'token',
    accessToken,
    expiresIn,
    refreshIn: refresh !== undefined && refresh > 0 ? refresh : undefined,
  };
}

function parseRefusal(raw: RawAnswer, body: Body | undefined, shown: Presented, now: number): Failure {
  const retryAfter = parseRetryAfter(raw.retryAfter, now);
  const common = {
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(raw.status === 429 ? { throttled: true } : {}),
  };
  const description = toClean(body?.['error_description']);
  const numbers = listAadstsNumbers(body, description);
  const aadsts = numbers.find((number) => classify(number, shown) !== undefined) ?? numbers[0];
  const known = aadsts === undefined ? undefined : classify(aadsts, shown);
  const error = toClean(body?.['error']);
  if (aadsts === undefined && error === undefined && !isPassing(raw.status)) {
    return { ...refuseForeignAnswer(raw, shown), ...common };
  }
  const detail = description?.split(/\r?\n/, 1)[0];
  const traceId = toClean(body?.['trace_id']);
  const correlationId = toClean(body?.['correlation_id']);
  const code = aadsts === undefined ? `http-${raw.status}` : `AADSTS${aadsts}`;
  const sentence = known?.sentence ?? describeUnknown(raw.status, error, detail, shown);
  return {
    class: known?.class ?? classByStatus(raw.status, error),
    code,
    message: toOneLine(aadsts === undefined ? sentence : `${sentence} (${code})`),
    ...(aadsts === undefined ? {} : { aadsts }),
    ...(detail === undefined ? {} : { detail: toOneLine(detail, 400) }),
    ...(traceId === undefined ? {} : { traceId: toOneLine(traceId, 64) }),
    ...(correlationId === undefined ? {} : { correlationId: toOneLine(correlationId, 64) }),
    ...(known?.quick === true ? { quick: true } : {}),
    ...common,
  };
}

/** A status that says by itself that it will pass. */
function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function classByStatus(status: number, error: string | undefined): AnswerClass {
  if (status === 429) return 'throttle';
  return isPassing(status) || error === 'temporarily_unavailable' ? 'transient' : 'config';
}

function describeUnknown(
  status: number,
  error: string | undefined,
  detail: string | undefined,
  shown: Presented,
): string {
  if (status === 429) return `Entra at ${shown.authority} throttles the requests (429). It is asked again later.`;
  if (isPassing(status)) return `Entra at ${shown.authority} has a passing fault (${status}). It is asked again soon.`;
  if (error === 'temporarily_unavailable') {
    return `Entra at ${shown.authority} is temporarily unavailable. It is asked again soon.`;
  }
  const words = toOneLine(detail ?? error ?? '', 400);
  return `Entra refuses a token for client ${shown.clientId} of tenant ${shown.tenantId} (${status}): ${words}`;
}

function refuseForeignAnswer({ status }: RawAnswer, shown: Presented): Failure {
  const what =
    status >= 300 && status < 400 ? `a redirect (${status}), which is not followed` : `${status} without a reason`;
  return createLocalFailure(
    'bad-answer',
    'bad-answer',
    `${shown.authority} answered ${what}. Is it Entra, and no proxy or sign-in page on the way?`,
  );
}

function listAadstsNumbers(body: Body | undefined, description: string | undefined): readonly number[] {
  const codes = body?.['error_codes'];
  const numbers = Array.isArray(codes)
    ? codes.filter((code) => Number.isSafeInteger(code) && (code as number) > 0)
    : [];
  const named = /AADSTS(\d{4,9})/.exec(description ?? '')?.[1];
  return [...(numbers as number[]).slice(0, 5), ...(named === undefined ? [] : [Number(named)])];
}

function parseJsonObject(text: string): Body | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : undefined;
  } catch {
    return undefined;
  }
}

function toText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** What stands between may echo the request: nothing that looks like a token goes on from here. */
function toClean(value: unknown): string | undefined {
  const text = toText(value);
  return text === undefined ? undefined : redact(text);
}

/** Entra gives numbers; some authorities give them as text. */
function toNumber(value: unknown): number | undefined {
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value);
  return typeof value === 'number' && Number.isFinite(value) ? Math.floor(value) : undefined;
}

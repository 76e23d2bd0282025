/** Entra's answer, parsed once. Bodies can be empty, HTML, plain text or wrong; only what was checked leaves this file. PURE. */
import type { EpochMs } from '../time.js';
import { GUID } from '../values/entra-ids.js';
import { isObject } from '../values/json.js';
import { asksForRereading, classify } from './aadsts.js';
import { type AnswerClass, CHECK_THE_WAY, createLocalFailure, type Failure, toOneLine } from './failure.js';
import type { ExchangeContext } from './identity.js';
import { throttled, transient } from './meanings.js';

/** What came over the wire, not yet parsed. */
export interface RawAnswer {
  readonly status: number;
  readonly retryAfter?: string | undefined;
  readonly body: string;
}

export interface TokenAnswer {
  readonly kind: 'token';
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  /** Where Entra asks for an early renewal. */
  readonly refreshInSeconds: number | undefined;
}

export type Answer = TokenAnswer | { readonly kind: 'failure'; readonly failure: Failure };

type Body = Readonly<Record<string, unknown>>;

/** A token that claims to live longer is not believed. Entra's live a day at most. */
const MAX_LIFE_SECONDS = 30 * 86_400;
const MAX_DETAIL_LENGTH = 400;
/** What Entra's descriptions consist of: AADSTS numbers, numbers and plain words. No piece of a token in any encoding is long and has this form. */
const WORD = /^["'(]?(AADSTS\d{4,9}|\d{1,9}|[A-Za-z][a-z]{1,19}(['_-][a-z]{1,9}){0,2}|[A-Z]{2,4}|[aAI])["')]?[.,:;?]?$/;
/** Names, ids and addresses in one description; a text with more is not Entra's. */
const MAX_OTHER_WORDS = 4;
/** The `error` of a temporary fault (RFC 6749 section 4.1.2.1). */
const UNAVAILABLE = 'temporarily_unavailable';

/** @param now for a `Retry-After` that is a date. */
export function parseAnswer(raw: RawAnswer, context: ExchangeContext, now: EpochMs): Answer {
  const body = parseJsonObject(raw.body);
  if (raw.status === 200) return parseToken(body, context);
  const retryAfterSeconds = parseRetryAfter(raw.retryAfter, now);
  const failure = judgeRefusal(raw.status, readRefusal(body), context);
  return { kind: 'failure', failure: { ...failure, retryAfterSeconds, throttled: raw.status === 429 } };
}

/** What a failure means after the previous one: an assertion that is read again and refused again is a matter of configuration. */
export function judgeRepetition(failure: Failure, previous: Failure | undefined): Failure {
  const again = failure.class === 're-read-once' && asksForRereading(previous?.aadsts);
  return again ? { ...failure, class: 'config' } : failure;
}

/** Seconds that a `Retry-After` asks for (RFC 9110 section 10.2.3), or `undefined` where it can't be read. */
function parseRetryAfter(value: string | undefined, now: EpochMs): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}

function parseToken(body: Body | undefined, { authority }: ExchangeContext): Answer {
  const fail = (what: string): Answer => ({
    kind: 'failure',
    failure: createLocalFailure('bad-answer', 'bad-answer', `${authority} answered 200, but ${what}. ${CHECK_THE_WAY}`),
  });
  if (body === undefined) return fail('not with JSON');
  const { access_token: accessToken, token_type: type, expires_in: expiresIn, refresh_in: refreshIn } = body;
  if (typeof accessToken !== 'string' || !/^[\x21-\x7e]+$/.test(accessToken)) {
    return fail('with no usable access_token');
  }
  if (type !== undefined && (typeof type !== 'string' || type.toLowerCase() !== 'bearer')) {
    return fail('with a token_type that is not Bearer');
  }
  const expiresInSeconds = readPositive(expiresIn);
  if (expiresInSeconds === undefined || expiresInSeconds > MAX_LIFE_SECONDS) return fail('with no usable expires_in');
  return { kind: 'token', accessToken, expiresInSeconds, refreshInSeconds: readPositive(refreshIn) };
}

/** What a refusal's body says. The request may be echoed in it, in any form: only what has an allowed form is taken. */
interface Refusal {
  /** Never shown. */
  readonly error: string | undefined;
  /** First line of the description, else of the error, with `[cut]` for what is no plain word. */
  readonly detail: string | undefined;
  readonly traceId: string | undefined;
  readonly correlationId: string | undefined;
  /** In order; the description's own number last. */
  readonly aadstsNumbers: readonly number[];
}

function readRefusal(body: Body = {}): Refusal {
  const error = pickText(body['error'], /./);
  const description = pickText(body['error_description'], /./);
  return {
    error,
    detail: cutOtherWords(description ?? error ?? ''),
    traceId: pickText(body['trace_id'], GUID),
    correlationId: pickText(body['correlation_id'], GUID),
    aadstsNumbers: listAadstsNumbers(body['error_codes'], description),
  };
}

function judgeRefusal(status: number, refusal: Refusal, context: ExchangeContext): Failure {
  const { error, detail, traceId, correlationId, aadstsNumbers } = refusal;
  const aadsts = aadstsNumbers.find((number) => classify(number, context) !== undefined) ?? aadstsNumbers[0];
  const isNamed = aadsts !== undefined;
  if (!isNamed && error === undefined && !isTransient(status)) return describeOtherAnswer(status, context);
  const known = isNamed ? classify(aadsts, context) : undefined;
  const code = formatCode(aadsts, status);
  const sentence = known?.sentence ?? describeUnknown(status, refusal, context);
  return {
    class: known?.class ?? classifyStatus(status, error),
    code,
    message: toOneLine(`${sentence} (${code})`),
    aadsts,
    detail,
    traceId,
    correlationId,
    quick: known?.quick,
  };
}

function formatCode(aadsts: number | undefined, status: number): string {
  return aadsts === undefined ? `http-${status}` : `AADSTS${aadsts}`;
}

/** A status that says by itself that it is temporary. */
function isTransient(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function classifyStatus(status: number, error: string | undefined): AnswerClass {
  if (status === 429) return 'throttle';
  return isTransient(status) || error === UNAVAILABLE ? 'transient' : 'config';
}

function describeUnknown(status: number, { error, detail }: Refusal, context: ExchangeContext): string {
  if (status === 429) return throttled.describe(context);
  if (isTransient(status) || error === UNAVAILABLE) return transient.describe(context);
  return `Entra refuses a token for client ${context.clientId} of tenant ${context.tenantId}: ${detail ?? ''}`;
}

/** An answer that does not have the form of Entra's. */
function describeOtherAnswer(status: number, { authority }: ExchangeContext): Failure {
  const isRedirect = status >= 300 && status < 400;
  const what = isRedirect ? `with a redirect (${status}), which is not followed` : `${status} without a reason`;
  return createLocalFailure('bad-answer', 'bad-answer', `${authority} answered ${what}. ${CHECK_THE_WAY}`);
}

function listAadstsNumbers(codes: unknown, description: string | undefined): readonly number[] {
  const listed = Array.isArray(codes) ? codes.filter(isPositiveInteger).slice(0, 5) : [];
  const named = /AADSTS(\d{4,9})/.exec(description ?? '')?.[1];
  return named === undefined ? listed : [...listed, Number(named)];
}

function isPositiveInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function parseJsonObject(text: string): Body | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function pickText(value: unknown, form: RegExp): string | undefined {
  return typeof value === 'string' && form.test(value) ? value : undefined;
}

function cutOtherWords(description: string): string | undefined {
  const [line = ''] = description.slice(0, MAX_DETAIL_LENGTH).split(/[\r\n]/, 1);
  const words = line.split(' ').map((word) => (WORD.test(word) ? word : '[cut]'));
  return words.filter((word) => word === '[cut]').length > MAX_OTHER_WORDS ? undefined : words.join(' ');
}

/** A whole number of at least 1. Entra gives numbers; some authorities give them as text. */
function readPositive(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) return undefined;
  const whole = Math.floor(number);
  return whole >= 1 ? whole : undefined;
}

/** Why an exchange gave no token: a closed union, each with a sentence for people. PURE. */

/** Classes of Entra's answers, from the table of AADSTS numbers. */
export type AnswerClass =
  | 'propagation'
  | 'config'
  | 'retry-slowly'
  | 're-read-once'
  | 'never-hammer'
  | 'throttle'
  | 'transient'
  | 'our-defect'
  | 'loop';

/** What goes wrong before Entra answers; all of these are retried like a transient fault. */
export type LocalClass = 'assertion' | 'transport' | 'tls-untrusted' | 'proxy-refused' | 'bad-answer';

export type FailureClass = AnswerClass | LocalClass;

/** One failed exchange. */
export interface Failure {
  readonly class: FailureClass;
  /** Stable: `AADSTS700213`, `http-503`, `assertion-missing`, … */
  readonly code: string;
  /** What is wrong and how to fix it; one printable line, without any token. */
  readonly message: string;
  readonly aadsts?: number | undefined;
  /** The first line of Entra's own description, cut. */
  readonly detail?: string | undefined;
  readonly traceId?: string | undefined;
  readonly correlationId?: string | undefined;
  /** Retried with the quick back-off although the class has a fixed pause; under `retry-slowly` only at first. */
  readonly quick?: boolean | undefined;
  /** How long the answer asked to wait. */
  readonly retryAfterSeconds?: number | undefined;
  /** The answer had status 429: `retryAfterSeconds` is obeyed, not only considered. */
  readonly throttled?: boolean | undefined;
}

/** Whether the failure may resolve without a change by people. If not, git and `startup: wait` stop waiting. */
export function mayResolveByWaiting(failure: Failure): boolean {
  return failure.class !== 'config' && failure.class !== 'never-hammer' && failure.class !== 'our-defect';
}

/** Ends the sentence about an answer that does not have the form of Entra's. */
export const CHECK_THE_WAY = 'Is a proxy or a sign-in page between the pod and Entra?';

/** A failure on the way to Entra or back. */
export function createLocalFailure(kind: LocalClass, code: string, message: string): Failure {
  return { class: kind, code, message: toOneLine(message) };
}

/** Longest message or value that is shown. */
const MAX_LINE_LENGTH = 1000;

/** One printable line of at most `maxLength` characters: text from outside must not forge lines or move a cursor. */
export function toOneLine(text: string, maxLength = MAX_LINE_LENGTH): string {
  const line = text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}

/** Why an exchange gave no token: a closed union, each with a sentence for people. PURE. */

/** What Entra's answers come to, after the table of AADSTS numbers. */
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

/** What comes between the sidecar and an answer of Entra; all of it is tried again like a transient fault. */
export type LocalClass = 'assertion' | 'transport' | 'tls-untrusted' | 'proxy-refused' | 'bad-answer';

export type FailureClass = AnswerClass | LocalClass;

/** One failed exchange. */
export interface Failure {
  readonly class: FailureClass;
  /** Stable: `AADSTS700213`, `http-503`, `assertion-missing`, … */
  readonly code: string;
  /** What is wrong and what mends it; one printable line, without any token. */
  readonly message: string;
  readonly aadsts?: number;
  /** Entra's own words, first line, cut. */
  readonly detail?: string;
  readonly traceId?: string;
  readonly correlationId?: string;
  /** Tried again with the quick back-off although the class has a fixed pause. */
  readonly quick?: boolean;
  /** Seconds that the answer asked to wait. */
  readonly retryAfter?: number;
  /** The answer had status 429: `retryAfter` is obeyed, not just considered. */
  readonly throttled?: boolean;
}

/** Whether the failure may go away while everybody waits; if not, git and `startup: wait` are held up no longer. */
export function mayResolveByWaiting(failure: Failure): boolean {
  return failure.class !== 'config' && failure.class !== 'never-hammer' && failure.class !== 'our-defect';
}

/** A failure on the way to Entra or back. */
export function createLocalFailure(kind: LocalClass, code: string, message: string): Failure {
  return { class: kind, code, message: toOneLine(message) };
}

/** Longest message or value that is shown, characters. */
const MAX_LINE = 1000;

/** The text as one printable line of at most `max` characters: what comes from outside must not forge lines or move a cursor. */
export function toOneLine(text: string, max = MAX_LINE): string {
  const line = text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

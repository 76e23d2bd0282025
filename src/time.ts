/**
 * Time, with its unit in the type: a number of seconds can't be taken for milliseconds, nor a moment for a span. Names of
 * constants and fields carry the unit too (`timeoutMs`, `expiresAtSeconds`).
 */
declare const unit: unique symbol;

/** A moment: milliseconds since 1970 by the wall clock, which can be set. */
export type EpochMs = number & { readonly [unit]: 'epoch-ms' };
/** A moment: whole seconds since 1970, as tokens and git write it. */
export type EpochSeconds = number & { readonly [unit]: 'epoch-seconds' };
/** The reading of a clock of which only differences count, or a constant span. Other spans are numbers named `…Ms`. */
export type Milliseconds = number & { readonly [unit]: 'milliseconds' };

export function epochMs(value: number): EpochMs {
  return value as EpochMs;
}

export function milliseconds(value: number): Milliseconds {
  return value as Milliseconds;
}

/** The last whole second at or before the moment. */
export function toEpochSeconds(moment: EpochMs): EpochSeconds {
  return Math.floor(moment / 1000) as EpochSeconds;
}

export function toEpochMs(moment: EpochSeconds): EpochMs {
  return (moment * 1000) as EpochMs;
}

/** The moment that is a span later than another; earlier, where the span is negative. */
export function addMs(moment: EpochMs, spanMs: number): EpochMs {
  return (moment + spanMs) as EpochMs;
}

/** RFC 3339, in UTC, such as `2026-03-01T12:00:00.000Z`. */
export function formatTime(moment: EpochMs): string {
  return new Date(moment).toISOString();
}

export const SECOND_MS = milliseconds(1000);
export const HOUR_MS = milliseconds(3_600_000);
export const DAY_MS = milliseconds(86_400_000);

/** The wall clock. */
export type Now = () => EpochMs;

/** Resolves after the span; early, and without an error, when the signal is aborted. */
export type Sleep = (spanMs: number, signal?: AbortSignal) => Promise<void>;

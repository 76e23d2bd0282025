/** What log, metrics and Events say of a pod: each of its reasons or warning codes once. PURE. */
import type { Outcome, RefusalReason, Warning, WarningCode } from '../inject/index.js';

/** A code and what is said under it. */
export interface Notice<Code extends string = RefusalReason | WarningCode> {
  readonly code: Code;
  readonly message: string;
}

/** The warnings of one pod; those of one code are one notice. */
export function groupWarnings(warnings: readonly Warning[]): Notice<WarningCode>[] {
  const messages = new Map<WarningCode, string[]>();
  for (const { code, message } of warnings) messages.set(code, [...(messages.get(code) ?? []), message]);
  return [...messages].map(([code, all]) => ({ code, message: all.join('; ') }));
}

/** What the owner of a pod that was created should know. */
export function listNotices(outcome: Outcome): Notice[] {
  if (outcome.kind === 'injected') return groupWarnings(outcome.warnings);
  if (outcome.kind !== 'refused' || outcome.answer !== 'admit') return [];
  return [{ code: outcome.reason, message: outcome.message }];
}

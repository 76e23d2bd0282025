/** The document of `status.json`, for people and programs. PURE. */
import type { Mode, Startup } from '../names.js';
import { type EpochMs, formatTime } from '../time.js';
import { deriveState, type RecordedFailure, type Snapshot } from './message-for-git.js';

export interface Program {
  readonly version: string;
  readonly mode: Mode;
  readonly startup: Startup;
  readonly organizations: readonly string[];
  readonly startedAt: EpochMs;
}

/**
 * The document in `status.json`, which `/status` answers too. Its field names are public. Times are RFC 3339.
 * It holds ids, and never a token.
 */
export function formatStatus(program: Program, snapshot: Snapshot): string {
  const { identity, failure } = snapshot;
  const status = {
    ...program,
    startedAt: formatTime(program.startedAt),
    identities: [
      {
        ...identity,
        ...deriveState(snapshot),
        expiresAt: formatOptionalTime(snapshot.expiresAt),
        renewAt: formatOptionalTime(snapshot.renewAt),
        lastExchangeAt: formatOptionalTime(snapshot.lastExchangeAt),
        error: failure === undefined ? null : formatFailure(failure),
      },
    ],
  };
  return `${JSON.stringify(status, null, 2)}\n`;
}

function formatFailure(failure: RecordedFailure): object {
  const { code, class: kind, aadsts, message, detail, traceId, correlationId, at } = failure;
  return { code, class: kind, aadsts, message, detail, traceId, correlationId, at: formatTime(at) };
}

function formatOptionalTime(moment: EpochMs | undefined): string | null {
  return moment === undefined ? null : formatTime(moment);
}

/** What the sidecar publishes: the helper's file in lines that sh reads, and the status for people. PURE. */
import { type Failure, mayResolveByWaiting, toOneLine } from '../entra/failure.js';
import type { Identity } from '../entra/identity.js';
import { FIRST_TOKEN_WAIT_SECONDS, type Mode, type Startup } from '../names.js';
import { type EpochMs, formatTime } from '../time.js';

/** `pending`: git waits. `ready`: a valid token is in the file. `failed`: git ends at once with the message. */
type TokenPhase = 'pending' | 'ready' | 'failed';

export type RecordedFailure = Failure & { readonly at: EpochMs };

/** What is known of one identity at one moment. */
export interface Snapshot {
  readonly identity: Identity;
  /** End of the token that is in the file. */
  readonly expiresAt: EpochMs | undefined;
  /** End of the last token, when it has expired without a new one. */
  readonly expiredAt: EpochMs | undefined;
  readonly renewAt: EpochMs | undefined;
  readonly lastExchangeAt: EpochMs | undefined;
  readonly failure: RecordedFailure | undefined;
  /** Why the directory can't be written. */
  readonly storeProblem: string | undefined;
  /** Whether {@link FIRST_TOKEN_WAIT_SECONDS} have passed since the start. */
  readonly overdue: boolean;
}

export interface DerivedState {
  readonly state: TokenPhase;
  readonly message: string;
}

/** What git has to do, and what it prints where there is no token. */
export function deriveState(snapshot: Snapshot): DerivedState {
  const { failure, identity, storeProblem, expiredAt } = snapshot;
  if (snapshot.expiresAt !== undefined) return { state: 'ready', message: 'A valid token is available.' };
  const why = storeProblem ?? failure?.message ?? `Entra at ${identity.authority} has not answered yet.`;
  // git waits for the first token only.
  if (expiredAt !== undefined) {
    return {
      state: 'failed',
      message: `The token expired at ${formatTime(expiredAt)} and there is no new one. ${why}`,
    };
  }
  if (failure !== undefined && !mayResolveByWaiting(failure)) return { state: 'failed', message: why };
  if (snapshot.overdue) {
    return { state: 'failed', message: `There is no token after ${FIRST_TOKEN_WAIT_SECONDS} s. ${why}` };
  }
  return { state: 'pending', message: why };
}

/** The file `state`, a `key=value` a line. */
export function formatHelperState({ state, message }: DerivedState, credentialFile: string): string {
  const file = state === 'ready' ? `file=${credentialFile}\n` : '';
  return `state=${state}\n${file}message=${toOneLine(message)}\n`;
}

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

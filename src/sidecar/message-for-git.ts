/** What git has to do, and what it prints without a token; and how the credential helper reads it. PURE. */
import { FIRST_TOKEN_WAIT_SECONDS } from '../defaults.js';
import { type Failure, mayResolveByWaiting, toOneLine } from '../entra/failure.js';
import type { Identity } from '../entra/identity.js';
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

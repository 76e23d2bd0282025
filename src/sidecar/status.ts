/** What the sidecar tells: the helper's file in lines that sh reads, and the status for people. Told in this one place. */
import { type Failure, mayResolveByWaiting, toOneLine } from '../entra/failure.js';
import type { Identity } from '../entra/identity.js';
import { FIRST_TOKEN_WAIT_SECONDS, type Mode, type Startup } from '../names.js';

/** `pending`: git waits. `ready`: a valid token is in the file. `failed`: git ends at once with the message. */
export type TokenState = 'pending' | 'ready' | 'failed';

/** What is known of one identity at one moment. Times are milliseconds since 1970. */
export interface Snapshot {
  readonly identity: Identity;
  /** End of the token that is in the file. */
  readonly expiresAt: number | undefined;
  /** End of the last token that was in the file and is no more. */
  readonly expiredAt: number | undefined;
  readonly renewAt: number | undefined;
  readonly lastExchangeAt: number | undefined;
  readonly failure: (Failure & { readonly at: number }) | undefined;
  /** Why the directory can't be written. */
  readonly storeProblem: string | undefined;
  /** Whether {@link FIRST_TOKEN_WAIT_SECONDS} have passed since the start. */
  readonly overdue: boolean;
}

export interface DerivedState {
  readonly state: TokenState;
  readonly message: string;
}

/** What git is to do, and what it says where there is no token. */
export function deriveState(situation: Snapshot): DerivedState {
  const { failure, identity, storeProblem } = situation;
  const why = storeProblem ?? failure?.message ?? `Entra at ${identity.authority} has not answered yet.`;
  if (situation.expiresAt !== undefined) return { state: 'ready', message: 'A valid token is there.' };
  // git waits for the first token alone.
  if (situation.expiredAt !== undefined) {
    return {
      state: 'failed',
      message: `The token ended at ${toTime(situation.expiredAt)} and there is no new one. ${why}`,
    };
  }
  if (failure !== undefined && !mayResolveByWaiting(failure)) return { state: 'failed', message: why };
  if (situation.overdue) {
    return { state: 'failed', message: `There is no token after ${FIRST_TOKEN_WAIT_SECONDS} s. ${why}` };
  }
  return { state: 'pending', message: why };
}

/** The file `state`, a `key=value` a line. */
export function formatHelperState(verdict: DerivedState, credentialFile: string): string {
  const file = verdict.state === 'ready' ? `file=${credentialFile}\n` : '';
  return `state=${verdict.state}\n${file}message=${toOneLine(verdict.message)}\n`;
}

export interface Program {
  readonly version: string;
  readonly mode: Mode;
  readonly startup: Startup;
  readonly organizations: readonly string[];
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}

/** The document in `status.json`, which `/status` answers; times are RFC 3339. Holds ids, never a token. */
export function formatStatus(program: Program, situation: Snapshot): string {
  const { identity, failure } = situation;
  const verdict = deriveState(situation);
  const status = {
    ...program,
    startedAt: toTime(program.startedAt),
    identities: [
      {
        ...identity,
        ...verdict,
        expiresAt: toTime(situation.expiresAt),
        renewAt: toTime(situation.renewAt),
        lastExchangeAt: toTime(situation.lastExchangeAt),
        error: failure === undefined ? null : { ...pickError(failure), at: toTime(failure.at) },
      },
    ],
  };
  return `${JSON.stringify(status, null, 2)}\n`;
}

function pickError({ code, class: kind, aadsts, message, detail, traceId, correlationId }: Failure): object {
  return { code, class: kind, aadsts, message, detail, traceId, correlationId };
}

function toTime(milliseconds: number | undefined): string | null {
  return milliseconds === undefined ? null : new Date(milliseconds).toISOString();
}

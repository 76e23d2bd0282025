/** Keeps a valid token in the state directory: the loop that carries out what the token's state asks for. */
import type { Answer } from '../entra/answer.js';
import { createLocalFailure } from '../entra/failure.js';
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import type { SidecarConfig } from './config.js';
import type { Snapshot } from './message-for-git.js';
import type { StateDirectory } from './state-directory.js';
import { createStatePublisher } from './state-publisher.js';
import { formatStatus, type Program } from './status-document.js';
import type { Clock, Instant } from './token.js';
import type { TokenSource } from './token-source.js';
import { chooseSleepMs, createTokenState, describe, hasStarted, isReady, type TokenState } from './token-state.js';
import { advance, type TokenEvent } from './token-transitions.js';

export interface TokenManagerOptions {
  readonly config: SidecarConfig;
  readonly version: string;
  readonly directory: StateDirectory;
  readonly ask: TokenSource;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  /** Frees memory. Called before and after each exchange, so that its peak is low and does not remain. */
  readonly collectGarbage: () => void;
}

export interface TokenManager {
  /** Adopts what an earlier run left and publishes the first state; asks for nothing yet. */
  readonly open: () => void;
  /** From now on, asks when it is time. */
  readonly start: () => void;
  readonly stop: () => void;
  /** Whether a valid token is in its file at this moment. */
  readonly isReady: () => boolean;
  /** Whether containers may start under the configured rule. */
  readonly hasStarted: () => boolean;
  /** What is known at this moment. */
  readonly describe: () => Snapshot;
  /** Exchanges that gave a token, and failed ones by class. */
  readonly countExchanges: () => Pick<TokenState, 'successes' | 'failures'>;
  /** The document of `status.json`. */
  readonly formatStatus: () => string;
  /** Makes git end at once, for this reason: the sidecar itself can't go on. */
  readonly giveUp: (message: string) => void;
}

export function createTokenManager(options: TokenManagerOptions): TokenManager {
  const { config, version, directory, ask, clock, random, log, collectGarbage } = options;
  const { identity, mode, startup, organizations } = config;
  const startedAt = clock.read();
  const program: Program = { version, mode, startup, organizations, startedAt: startedAt.epochMs };
  const publisher = createStatePublisher({ identity, program, directory, log });
  let state = createTokenState(identity, startedAt);
  let isStopped = false;
  let cancelTimer = (): void => undefined;

  const takeSnapshot = (at: Instant): Snapshot => describe(state, at, publisher.problem());

  const apply = (event: TokenEvent, at: Instant): void => {
    const transition = advance(state, event, at);
    state = transition.state;
    for (const effect of transition.effects) {
      if (effect.kind === 'log') log[effect.level](effect.message, effect.fields);
      else if (effect.kind === 'publish') publisher.batch(() => publish(at));
      else void exchange(at);
    }
  };

  // The state is written before a credential is removed, so that its readers never miss the file.
  const publish = (at: Instant): void => {
    if (state.unwritten !== undefined && publisher.writeCredential(state.unwritten)) apply({ kind: 'written' }, at);
    publisher.publish(() => takeSnapshot(at));
    if (state.served === undefined) publisher.removeCredential();
  };

  const exchange = async (askedAt: Instant): Promise<void> => {
    collectGarbage();
    const event = toEvent(await ask().catch(describeDefect), askedAt, random());
    if (isStopped) return;
    apply(event, clock.read());
    run();
    collectGarbage();
  };

  const run = (): void => {
    cancelTimer();
    apply({ kind: 'tick' }, clock.read());
    cancelTimer = clock.after(chooseSleepMs(state, clock.read()), run);
  };

  return {
    open() {
      publisher.batch(() => {
        const credential = publisher.readCredential();
        if (credential !== undefined) apply({ kind: 'adopted', credential, random: random() }, clock.read());
      });
      publisher.batch(() => publish(clock.read()));
    },
    start: run,
    stop() {
      isStopped = true;
      cancelTimer();
    },
    isReady: () => isReady(state, clock.read()),
    hasStarted: () => hasStarted(state, startup, clock.read()),
    describe: () => takeSnapshot(clock.read()),
    countExchanges: () => state,
    formatStatus: () => formatStatus(program, takeSnapshot(clock.read())),
    giveUp(message) {
      if (!isReady(state, clock.read())) publisher.publishHelperState({ state: 'failed', message });
    },
  };
}

/** The source reports what goes wrong in its answer; what it throws is a defect, and is retried too. */
function describeDefect(error: unknown): Answer {
  return { kind: 'failure', failure: createLocalFailure('transport', 'internal', describeError(error)) };
}

function toEvent(answer: Answer, askedAt: Instant, random: number): TokenEvent {
  if (answer.kind === 'failure') return { kind: 'failed', failure: answer.failure };
  return { kind: 'acquired', answer, askedAt, random };
}

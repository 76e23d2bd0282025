/** Keeps a valid token in the state directory: when to ask, what to keep, what to tell. */
import { type Answer, judgeRepetition } from '../entra/answer.js';
import { createLocalFailure, type Failure, type FailureClass, mayResolveByWaiting } from '../entra/failure.js';
import { choosePause } from '../entra/schedule.js';
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import { credentialFileName, FIRST_TOKEN_WAIT_SECONDS } from '../names.js';
import type { SidecarConfig } from './config.js';
import type { StateDirectory } from './state-directory.js';
import { StatePublisher } from './state-publisher.js';
import { deriveState, formatStatus, type Program, type Snapshot } from './status.js';
import { type Clock, type Instant, makeToken, timeLeft, type Token } from './token.js';
import type { TokenSource } from './token-source.js';

export interface TokenManagerOptions {
  readonly config: SidecarConfig;
  readonly version: string;
  readonly directory: StateDirectory;
  readonly ask: TokenSource;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  /** Gives memory back; called before and after each exchange, so that its peak is low and does not stay. */
  readonly collectGarbage: () => void;
}

/** Timers are never longer, milliseconds: a clock that was set, or a machine that slept, is noticed within this time. */
const MAX_SLEEP = 5_000;
/** A directory that can't be written is tried again after this time, milliseconds. */
const STORE_PAUSE = 5_000;
/** A file whose token claims to live longer is not believed, milliseconds. */
const MAX_ADOPTED_LIFE = 30 * 86_400_000;

export class TokenManager {
  /** Exchanges that gave a token, and those that did not by class. */
  readonly counts = { successes: 0, failures: new Map<FailureClass, number>() };

  private readonly options: TokenManagerOptions;
  private readonly publisher: StatePublisher;
  private readonly program: Program;
  private readonly startedAt: number;
  /** The token that is in the file. */
  private served: Token | undefined;
  /** A newer one that could not be written yet. */
  private unwritten: Token | undefined;
  private failure: (Failure & { readonly at: number }) | undefined;
  private failuresInRow = 0;
  private isAsking = false;
  /** After a failure: when to ask again, by the clock that does not jump. */
  private pausedUntil: number | undefined;
  /** The same for people, or when the token is renewed; milliseconds since 1970. */
  private nextAskAt: number | undefined;
  private lastSuccessAt: number | undefined;
  private expired: Instant | undefined;
  private wasReady = false;
  private hasPermanentFailure = false;
  private cancelTimer: () => void = () => undefined;

  constructor(options: TokenManagerOptions) {
    const { config, clock, version, directory, log: log } = options;
    const { identity, mode, startup, organizations } = config;
    this.options = options;
    const credentialFile = credentialFileName(identity.clientId, identity.tenantId);
    this.publisher = new StatePublisher({ directory, credentialFile, log: log });
    this.program = { version, mode, startup, organizations, startedAt: clock.now() };
    this.startedAt = clock.elapsed();
  }

  /** Adopts what an earlier run left and tells the first state; nothing is asked yet. */
  open(): void {
    this.publisher.batch(() => this.adopt());
    this.publisher.batch(() => this.publish());
  }

  /** Asks when it is time, from now on. */
  start(): void {
    this.cancelTimer();
    this.dropEnded();
    this.publisher.batch(() => this.publish());
    if (!this.isAsking && this.timeToAsk() <= 0) void this.attempt();
    this.cancelTimer = this.options.clock.after(Math.max(this.timeToSleep(), 1), () => this.start());
  }

  stop(): void {
    this.cancelTimer();
  }

  /** Whether a valid token is in its file at this moment. */
  isReady(): boolean {
    return this.served !== undefined && timeLeft(this.served, this.options.clock) > 0;
  }

  /** Whether containers may start under the configured rule. */
  hasStarted(): boolean {
    switch (this.options.config.startup) {
      case 'proceed':
        return true;
      case 'wait':
        return this.wasReady || this.hasPermanentFailure || this.isOverdue();
      case 'require':
        return this.wasReady;
    }
  }

  /** What is known at this moment. */
  describe(): Snapshot {
    return {
      identity: this.options.config.identity,
      expiresAt: this.isReady() ? this.served?.endsAt.now : undefined,
      expiredAt: this.expired?.now,
      renewAt: this.nextAskAt,
      lastExchangeAt: this.lastSuccessAt,
      failure: this.failure,
      storeProblem: this.publisher.problem,
      overdue: this.isOverdue(),
    };
  }

  /** The document of `status.json`. */
  formatStatus(): string {
    return formatStatus(this.program, this.describe());
  }

  /** Tells git to end at once, with this reason: the sidecar itself can't go on. */
  giveUp(message: string): void {
    if (!this.isReady()) this.publisher.publishHelperState({ state: 'failed', message });
  }

  private adopt(): void {
    const { clock, log: log, random } = this.options;
    const found = this.publisher.readCredential();
    if (found === undefined) return;
    const moment = { now: clock.now(), elapsed: clock.elapsed() };
    const life = found.expiresAt * 1000 - moment.now;
    if (life <= 0 || life > MAX_ADOPTED_LIFE) return;
    this.served = makeToken(found.token, life, undefined, moment, random());
    this.wasReady = true;
    this.nextAskAt = Math.round(this.served.endsAt.now - this.served.renewBeforeEnd);
    log.info('a token of an earlier run is still valid', { expiresAt: toTime(this.served.endsAt.now) });
  }

  private async attempt(): Promise<void> {
    const { ask, clock, collectGarbage } = this.options;
    this.isAsking = true;
    collectGarbage();
    const sent = { now: clock.now(), elapsed: clock.elapsed() };
    const answer = await ask().catch((error: unknown): Answer => {
      return { kind: 'failure', failure: createLocalFailure('transport', 'internal', describeError(error)) };
    });
    this.isAsking = false;
    if (answer.kind === 'token') this.take(answer, sent);
    else this.fail(answer.failure);
    this.start();
    collectGarbage();
  }

  private take(answer: Answer & { readonly kind: 'token' }, sent: Instant): void {
    const { clock, random, log: log } = this.options;
    const token = makeToken(
      answer.accessToken,
      answer.expiresInSeconds * 1000,
      answer.refreshInSeconds,
      sent,
      random(),
    );
    this.unwritten = token;
    this.failure = undefined;
    this.failuresInRow = 0;
    this.pausedUntil = undefined;
    this.lastSuccessAt = clock.now();
    this.nextAskAt = Math.round(token.endsAt.now - token.renewBeforeEnd);
    this.counts.successes += 1;
    log.info('token acquired', { expiresAt: toTime(token.endsAt.now), renewAt: toTime(this.nextAskAt) });
  }

  private fail(answered: Failure): void {
    const { clock, log: log } = this.options;
    const failure = judgeRepetition(answered, this.failure);
    const pause = choosePause(failure, {
      earlierFailures: this.failuresInRow,
      remainingSeconds: this.isReady() && this.served !== undefined ? timeLeft(this.served, clock) / 1000 : undefined,
      withoutTokenSeconds: (clock.elapsed() - (this.expired?.elapsed ?? this.startedAt)) / 1000,
    });
    this.failuresInRow += 1;
    this.pausedUntil = clock.elapsed() + pause * 1000;
    this.nextAskAt = Math.round(clock.now() + pause * 1000);
    this.failure = { ...failure, at: clock.now() };
    this.hasPermanentFailure ||= !mayResolveByWaiting(failure);
    this.counts.failures.set(failure.class, (this.counts.failures.get(failure.class) ?? 0) + 1);
    const { message, code, class: kind, detail, traceId, correlationId } = failure;
    log.warn(message, { code, class: kind, detail, traceId, correlationId, nextInSeconds: pause });
  }

  private dropEnded(): void {
    const { clock, log: log } = this.options;
    if (this.unwritten !== undefined && timeLeft(this.unwritten, clock) <= 0) this.unwritten = undefined;
    if (this.served === undefined || this.isReady()) return;
    this.expired = { now: this.served.endsAt.now, elapsed: clock.elapsed() };
    this.served = undefined;
    this.failuresInRow = 0;
    log.error('token expired, no new token yet', { endedAt: toTime(this.expired.now) });
  }

  /** Brings the files in line with what is known; the state goes before the removal, so that its reader never misses the file. */
  private publish(): void {
    const { publisher, unwritten } = this;
    if (unwritten !== undefined && publisher.writeCredential(unwritten)) {
      this.served = unwritten;
      this.unwritten = undefined;
      this.expired = undefined;
      this.wasReady = true;
    }
    publisher.publishHelperState(deriveState(this.describe()));
    publisher.publishStatus(this.formatStatus());
    if (this.served === undefined) publisher.removeCredential();
  }

  private isOverdue(): boolean {
    return this.options.clock.elapsed() - this.startedAt >= FIRST_TOKEN_WAIT_SECONDS * 1000;
  }

  private timeToAsk(): number {
    const { clock } = this.options;
    if (this.pausedUntil !== undefined) return this.pausedUntil - clock.elapsed();
    const token = this.unwritten ?? this.served;
    return token === undefined ? 0 : timeLeft(token, clock) - token.renewBeforeEnd;
  }

  private timeToSleep(): number {
    const { clock } = this.options;
    const times = [MAX_SLEEP];
    if (!this.isAsking) times.push(this.timeToAsk());
    if (this.served !== undefined) times.push(timeLeft(this.served, clock));
    if (!this.isOverdue()) times.push(FIRST_TOKEN_WAIT_SECONDS * 1000 - (clock.elapsed() - this.startedAt));
    if (this.publisher.problem !== undefined) times.push(STORE_PAUSE);
    return Math.min(...times);
  }
}

function toTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** What holds for a token's state after any events in any order, by clocks of which one jumps. */
import fc from 'fast-check';
import t from 'tap';
import type { FailureClass } from '../../src/entra/failure.js';
import type { Instant } from '../../src/sidecar/token.js';
import {
  chooseSleepMs,
  createTokenState,
  describe,
  hasStarted,
  isReady,
  type TokenState,
} from '../../src/sidecar/token-state.js';
import { advance, type Effect, type TokenEvent } from '../../src/sidecar/token-transitions.js';
import { addMs, epochMs, milliseconds, toEpochMs, toEpochSeconds } from '../../src/time.js';
import { CONTEXT, NOW } from '../support/entra-fixture.js';

const CLASSES: readonly FailureClass[] = ['transient', 'throttle', 'config', 're-read-once', 'loop', 'never-hammer'];

interface Step {
  /** By how much the clock that does not jump advances. */
  readonly elapsedMs: number;
  /** By how much the wall clock differs from that. */
  readonly jumpMs: number;
  readonly toEvent: (name: string, at: Instant) => TokenEvent;
}

const tick = fc.constant<Step['toEvent']>(() => ({ kind: 'tick' }));
const written = fc.constant<Step['toEvent']>(() => ({ kind: 'written' }));
const acquired = fc
  .record({
    expiresInSeconds: fc.integer({ min: 1, max: 200 }),
    refreshInSeconds: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
    tookMs: fc.nat(20_000),
    random: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ tookMs, random, ...life }): Step['toEvent'] => (accessToken, at) => ({
    kind: 'acquired',
    answer: { kind: 'token', accessToken, ...life },
    askedAt: move(at, -tookMs, 0),
    random,
  }));
const failed = fc
  .record({
    class: fc.constantFrom(...CLASSES),
    quick: fc.boolean(),
    throttled: fc.boolean(),
    retryAfterSeconds: fc.option(fc.nat(300), { nil: undefined }),
  })
  .map((part): Step['toEvent'] => () => ({ kind: 'failed', failure: { code: 'c', message: 'm', ...part } }));
const adopted = fc
  .record({ lifeMs: fc.integer({ min: -100_000, max: 400_000 }) })
  .map(({ lifeMs }): Step['toEvent'] => (token, at) => ({
    kind: 'adopted',
    credential: { token, expiresAtSeconds: toEpochSeconds(addMs(at.epochMs, lifeMs)) },
    random: 0,
  }));
const steps = fc.array(
  fc.record({
    elapsedMs: fc.oneof(fc.nat(2_000), fc.nat(120_000)),
    jumpMs: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer({ min: -1e7, max: 1e7 })),
    toEvent: fc.oneof(
      { weight: 4, arbitrary: tick },
      { weight: 2, arbitrary: written },
      { weight: 2, arbitrary: acquired },
      { weight: 2, arbitrary: failed },
      { weight: 1, arbitrary: adopted },
    ),
  }),
  { maxLength: 40 },
);

function move({ epochMs: wall, elapsedMs }: Instant, spanMs: number, jumpMs: number): Instant {
  return { epochMs: addMs(wall, spanMs + jumpMs), elapsedMs: milliseconds(elapsedMs + spanMs) };
}

function countFailures({ failures }: TokenState): number {
  return [...failures.values()].reduce((sum, count) => sum + count, 0);
}

function find<K extends Effect['kind']>(effects: readonly Effect[], kind: K): (Effect & { kind: K }) | undefined {
  return effects.find((effect): effect is Effect & { kind: K } => effect.kind === kind);
}

/** The test's own record of what happened. */
interface Book {
  /** Ends of all tokens by both clocks. */
  readonly ends: Map<string, Instant>;
  /** Tokens that are or were in the file. */
  readonly stored: Set<string>;
  /** By the clock that does not jump. */
  pausedUntilMs: number;
}

function enter(book: Book, before: TokenState, event: TokenEvent, { at, effects }: Moment): void {
  switch (event.kind) {
    case 'acquired':
      book.ends.set(event.answer.accessToken, move(event.askedAt, event.answer.expiresInSeconds * 1000, 0));
      book.pausedUntilMs = 0;
      return;
    case 'adopted': {
      const lifeMs = toEpochMs(event.credential.expiresAtSeconds) - at.epochMs;
      if (lifeMs <= 0) return;
      book.ends.set(event.credential.token, move(at, lifeMs, 0));
      book.stored.add(event.credential.token);
      return;
    }
    case 'failed':
      book.pausedUntilMs = at.elapsedMs + Number(find(effects, 'log')?.fields['nextInSeconds']) * 1000;
      return;
    case 'written':
      if (before.unwritten !== undefined) book.stored.add(before.unwritten.token);
      return;
    case 'tick':
  }
}

interface Moment {
  readonly at: Instant;
  readonly effects: readonly Effect[];
}

/** What was seen, so that no promise holds only because its case never came up. */
const seen = { ready: 0, pastAnEnd: 0, unwritten: 0, asksAfterPause: 0, requireStarted: 0 };

/** Readers come at any time, not only after a tick. */
function checkReadiness(state: TokenState, book: Book, at: Instant): void {
  for (const later of [at, move(at, 30_000, 0), move(at, 0, 1e7), move(at, 250_000, -1e7)]) {
    const end = book.ends.get(state.served?.token ?? '');
    const isValid = end !== undefined && later.epochMs < end.epochMs && later.elapsedMs < end.elapsedMs;
    if (isValid) seen.ready += 1;
    else if (state.served !== undefined) seen.pastAnEnd += 1;
    if (isReady(state, later) !== isValid) throw new Error('ready must mean: valid by both clocks');
    if ((describe(state, later, undefined).expiresAt !== undefined) !== isValid)
      throw new Error('the snapshot differs');
    const sleepMs = chooseSleepMs(state, later);
    if (!(sleepMs >= 1 && sleepMs <= 5_000)) throw new Error(`sleeps ${sleepMs} ms`);
  }
}

function checkFile(state: TokenState, book: Book, at: Instant): void {
  if (state.unwritten !== undefined) seen.unwritten += 1;
  if (state.served !== undefined && !book.stored.has(state.served.token)) {
    throw new Error('serves a token that is not in the file');
  }
  if (!hasStarted(state, 'require', at)) return;
  seen.requireStarted += 1;
  if (book.stored.size === 0) throw new Error('starts without a token');
}

function checkAsk(before: TokenState, book: Book, { at, effects }: Moment): void {
  if (find(effects, 'ask') === undefined) return;
  if (before.isAsking) throw new Error('asks twice at once');
  if (at.elapsedMs < book.pausedUntilMs) throw new Error('asks before the pause is over');
  if (book.pausedUntilMs > 0) seen.asksAfterPause += 1;
}

function checkCounters(state: TokenState, before: TokenState, event: TokenEvent): void {
  const successes = state.successes - before.successes;
  const failures = countFailures(state) - countFailures(before);
  const grew = [...before.failures].every(([kind, count]) => (state.failures.get(kind) ?? 0) >= count);
  if (!grew || successes !== Number(event.kind === 'acquired') || failures !== Number(event.kind === 'failed')) {
    throw new Error(`counts ${successes} and ${failures} on ${event.kind}`);
  }
}

void t.test('promises that any sequence of events keeps', (t) => {
  fc.assert(
    fc.property(steps, (sequence) => {
      let at: Instant = { epochMs: NOW, elapsedMs: milliseconds(5_000) };
      let state = createTokenState(CONTEXT, at);
      const book: Book = { ends: new Map(), stored: new Set(), pausedUntilMs: 0 };
      for (const [index, { elapsedMs, jumpMs, toEvent }] of sequence.entries()) {
        at = move(at, elapsedMs, jumpMs);
        const event = toEvent(`token-${index}`, at);
        const before = state;
        const transition = advance(before, event, at);
        state = transition.state;
        const moment = { at, effects: transition.effects };
        enter(book, before, event, moment);
        checkReadiness(state, book, at);
        checkFile(state, book, at);
        checkAsk(before, book, moment);
        checkCounters(state, before, event);
      }
    }),
    { numRuns: 500 },
  );
  for (const [name, count] of Object.entries(seen)) t.ok(count > 0, `${name}: ${count}`);
  t.end();
});

void t.test('a tick drops what has expired, and says so before it publishes', (t) => {
  const start: Instant = { epochMs: epochMs(NOW), elapsedMs: milliseconds(0) };
  const answer = { kind: 'token', accessToken: 'a', expiresInSeconds: 60, refreshInSeconds: undefined } as const;
  let state = advance(
    createTokenState(CONTEXT, start),
    { kind: 'acquired', answer, askedAt: start, random: 0 },
    start,
  ).state;
  state = advance(state, { kind: 'written' }, start).state;
  t.ok(isReady(state, start));
  const end = move(start, 60_000, 0);
  const { state: after, effects } = advance(state, { kind: 'tick' }, end);
  t.strictSame(
    effects.map((effect) => (effect.kind === 'log' ? effect.message : effect.kind)),
    ['token expired, no new token yet', 'publish', 'ask'],
  );
  t.match(after, { served: undefined, expired: { epochMs: end.epochMs }, isAsking: true });
  t.strictSame(
    advance(after, { kind: 'tick' }, end).effects.map(({ kind }) => kind),
    ['publish'],
    'one request at a time',
  );
  t.end();
});

/**
 * Keeps the cache of service accounts in step with the API server: a list in pages, then a watch, as client-go's reflector
 * does. After any failure it tries again; meanwhile the cache keeps what it has.
 */
import { describeError } from '../errors.js';
import { type ApiAnswer, readMessage } from '../kubernetes/answer.js';
import type { KubernetesApi } from '../kubernetes/client.js';
import { AnswerTooLargeError, type PickedAnswer, type PickOptions } from '../kubernetes/request.js';
import type { Logger } from '../log.js';
import type { Sleep } from '../time.js';
import { selectPage, WATCH_EVENT } from './service-account-answers.js';
import { readServiceAccount, type ServiceAccountCache } from './service-account-cache.js';

/** What the reflector reports, for metrics and readiness. */
export interface ReflectorObserver {
  /** A whole list is in the cache. */
  synced(): void;
  /** An event or a bookmark came. */
  heard(): void;
  /** `ended` by the server, as planned; `expired`: too old, so that a new list is needed; `failed` otherwise. */
  restarted(cause: WatchRestartCause): void;
}

export const WATCH_RESTART_CAUSES = ['ended', 'expired', 'failed'] as const;
export type WatchRestartCause = (typeof WATCH_RESTART_CAUSES)[number];

export interface ReflectorOptions {
  readonly api: KubernetesApi;
  readonly cache: ServiceAccountCache;
  readonly log: Logger;
  readonly observer: ReflectorObserver;
  readonly signal: AbortSignal;
  readonly sleep: Sleep;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly timing?: Partial<ReflectorTiming>;
}

export interface ReflectorTiming {
  readonly requestTimeoutMs: number;
  /** The API server sends a bookmark about once a minute: after three without one the connection counts as dead. */
  readonly idleMs: number;
  /** The server ends a watch after this time, so that its replicas share the load again. */
  readonly watchLifeMs: number;
  readonly minPauseMs: number;
  readonly maxPauseMs: number;
}

const TIMING: ReflectorTiming = {
  requestTimeoutMs: 20_000,
  idleMs: 200_000,
  watchLifeMs: 540_000,
  minPauseMs: 250,
  maxPauseMs: 10_000,
};

const PATH = '/api/v1/serviceaccounts';
/** Of service accounts in a page; 500 ordinary ones have about a megabyte. */
const PAGE_SIZE = { first: 100, max: 500 } as const;
/** A page with more is given up, and asked for again with half as many: the API server must hold it whole. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024;
/** After a page with less, the next one may be twice as large. */
const SMALL_PAGE_BYTES = MAX_PAGE_BYTES / 4;
const GONE = 410;

/** The resource version at which the watch should continue is too old: only a new list helps. */
class ExpiredError extends Error {}

/** After this many failures in a row a new list is made, whatever their cause. */
const FAILURES_BEFORE_LIST = 5;

/** Runs until the signal is aborted. Never rejects. */
export async function reflectServiceAccounts(options: ReflectorOptions): Promise<void> {
  const { signal, log, observer, sleep, random } = options;
  const timing = { ...TIMING, ...options.timing };
  let version: string | undefined;
  let failures = 0;
  const heard = (next: string | undefined): void => {
    version = next ?? version;
    failures = 0;
    observer.heard();
  };
  while (!signal.aborted) {
    try {
      if (version === undefined) {
        version = await listAll(options, timing);
        failures = 0;
        observer.synced();
        log.info('the service accounts are in the cache', { count: options.cache.size });
      }
      await watchFrom(version, options, timing, heard);
      observer.restarted('ended');
    } catch (error) {
      if (isAborted(signal)) return;
      failures += 1;
      const isExpired = error instanceof ExpiredError;
      if (isExpired || failures % FAILURES_BEFORE_LIST === 0) version = undefined;
      observer.restarted(isExpired ? 'expired' : 'failed');
      log.warn('the watch of the service accounts broke; the cache is still used', {
        cause: describeError(error),
        failures,
      });
    }
    // After an orderly end too: a server that ends each watch at once must not be flooded. Jitter spreads the replicas.
    const pauseMs = Math.min(timing.maxPauseMs, timing.minPauseMs * 2 ** failures);
    await sleep(pauseMs * (0.5 + random()), signal);
  }
}

const LEFT_OUT =
  'the annotations of the service accounts take too much memory; pods of those that are not in the cache cost a live read';

/** Fills the cache, and returns the version of the list. */
async function listAll({ api, cache, log }: ReflectorOptions, timing: ReflectorTiming): Promise<string> {
  const replacement = cache.startReplacement();
  let crowded = 0;
  const selection = selectPage((item) => {
    const account = readServiceAccount(item);
    if (account !== undefined && !replacement.set(account)) crowded += 1;
  });
  let limit: number = PAGE_SIZE.first;
  let token = '';
  for (;;) {
    const query = new URLSearchParams({ limit: String(limit), ...(token !== '' && { continue: token }) });
    const path = `${PATH}?${query.toString()}`;
    const maxBytes = limit === 1 ? Infinity : MAX_PAGE_BYTES;
    const answer = await pickUnlessTooLarge(api, path, { ...selection, timeoutMs: timing.requestTimeoutMs, maxBytes });
    if (answer === undefined) {
      limit = Math.floor(limit / 2);
      continue;
    }
    if (answer.status === GONE) throw new ExpiredError('the list changed too much while it was read');
    const page = readPage(answer);
    token = page.token;
    if (token === '') {
      replacement.commit();
      if (crowded > 0) log.warn(LEFT_OUT, { kept: cache.size });
      return page.version;
    }
    if (answer.bytes < SMALL_PAGE_BYTES) limit = Math.min(PAGE_SIZE.max, 2 * limit);
  }
}

/** @returns undefined where the answer is too large. */
async function pickUnlessTooLarge(
  api: KubernetesApi,
  path: string,
  options: PickOptions,
): Promise<PickedAnswer | undefined> {
  try {
    return await api.pick(path, options);
  } catch (error) {
    if (error instanceof AnswerTooLargeError) return undefined;
    throw error;
  }
}

interface Page {
  readonly version: string;
  /** For the next page; empty on the last. */
  readonly token: string;
}

function readPage({ status, body }: ApiAnswer): Page {
  if (status !== 200) throw new Error(`the list of service accounts was answered with ${describeStatus(status, body)}`);
  const { items, metadata } = (body ?? {}) as {
    items?: unknown;
    metadata?: { resourceVersion?: unknown; continue?: unknown };
  };
  if (
    typeof metadata?.resourceVersion !== 'string' ||
    (items !== null && items !== undefined && !Array.isArray(items))
  ) {
    throw new Error('the list of service accounts is not a ServiceAccountList');
  }
  const token = typeof metadata.continue === 'string' ? metadata.continue : '';
  return { version: metadata.resourceVersion, token };
}

/** Resolves when the server ends the watch as planned. */
async function watchFrom(
  version: string,
  { api, cache, signal, random }: ReflectorOptions,
  timing: ReflectorTiming,
  heard: (version: string | undefined) => void,
): Promise<void> {
  const seconds = Math.ceil((timing.watchLifeMs / 1000) * (0.75 + random() / 2));
  const query = new URLSearchParams({
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: version,
    timeoutSeconds: String(seconds),
  });
  let failure: unknown;
  try {
    const status = await api.watch(`${PATH}?${query.toString()}`, {
      ...WATCH_EVENT,
      signal,
      connectMs: timing.requestTimeoutMs,
      idleMs: timing.idleMs,
      onEvent: (event) => {
        try {
          heard(applyEvent(event, cache));
        } catch (error) {
          failure = error;
          throw error;
        }
      },
    });
    if (status === GONE) throw new ExpiredError('the resource version of the watch is too old');
    if (status !== 200) throw new Error(`the watch of service accounts was answered with ${describeStatus(status)}`);
  } catch (error) {
    throw failure ?? error;
  }
}

interface WatchEvent {
  readonly type?: unknown;
  readonly object?: {
    readonly metadata?: { readonly resourceVersion?: string };
    /** Of a `Status`. */
    readonly code?: number;
    readonly message?: string;
  };
}

/** @returns the version at which the next watch may continue. */
function applyEvent(event: unknown, cache: ServiceAccountCache): string | undefined {
  const { type, object } = (event ?? {}) as WatchEvent;
  const version = object?.metadata?.resourceVersion;
  if (type === 'BOOKMARK') return version;
  if (type === 'ERROR') throw createWatchError(object);
  const account = readServiceAccount(object);
  // To continue after an event that can't be read would miss a change for good.
  if (account === undefined) throw new ExpiredError('the watch brought something that is no service account');
  if (type === 'ADDED' || type === 'MODIFIED') cache.set(account);
  else if (type === 'DELETED') cache.delete(account);
  return version;
}

/** Of an ERROR event, whose object is a `Status`. */
function createWatchError(status: WatchEvent['object']): Error {
  const text = `the API server ended the watch: ${status?.message ?? 'no message'}`;
  return status?.code === GONE ? new ExpiredError(text) : new Error(text);
}

const HINTS: Readonly<Record<number, string>> = {
  401: ' (its credentials are not accepted)',
  403: ' (the ClusterRole of the webhook must allow get, list and watch of serviceaccounts)',
};

function describeStatus(status: number, body?: unknown): string {
  const message = readMessage({ body });
  return `${status}${message === '' ? '' : `: ${message}`}${HINTS[status] ?? ''}`;
}

/** A function, because the compiler assumes that an `await` does not change what was read before it. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

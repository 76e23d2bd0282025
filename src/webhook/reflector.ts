/**
 * Keeps the cache of service accounts in step with the API server: a list in pages, then a watch, as client-go's
 * reflector does it. Whatever breaks is mended by trying again; meanwhile the cache holds what was known.
 */
import { describeError } from '../errors.js';
import type { KubernetesApi } from '../kubernetes/client.js';
import type { Logger } from '../log.js';
import { readServiceAccount, type ServiceAccount, type ServiceAccountCache } from './service-account-cache.js';

/** What the reflector says of itself, for metrics and readiness. */
export interface ReflectorObserver {
  /** A whole list is in the cache. */
  synced(): void;
  /** Something came: an event or a bookmark. */
  heard(): void;
  /** `ended`: as planned, by the server; the others mean that something was amiss. */
  restarted(cause: 'ended' | 'expired' | 'failed'): void;
}

export interface ReflectorOptions {
  readonly api: KubernetesApi;
  readonly cache: ServiceAccountCache;
  readonly log: Logger;
  readonly observer: ReflectorObserver;
  readonly signal: AbortSignal;
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly timing?: Partial<ReflectorTiming>;
}

/** All in milliseconds. */
export interface ReflectorTiming {
  readonly requestTimeout: number;
  /** The API server sends a bookmark about once a minute: three of them missed is a dead connection. */
  readonly idle: number;
  /** The server ends a watch after this long, so that replicas of it share the load anew. */
  readonly watchLife: number;
  readonly minPause: number;
  readonly maxPause: number;
}

const TIMING: ReflectorTiming = {
  requestTimeout: 20_000,
  idle: 200_000,
  watchLife: 540_000,
  minPause: 250,
  maxPause: 10_000,
};

const PATH = '/api/v1/serviceaccounts';
const PAGE = 500;
const GONE = 410;

/** The resource version that the watch should go on from is too old: only a new list helps. */
class ExpiredError extends Error {}

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
      // Whatever else keeps it from going on, a new list mends it.
      if (isExpired || failures % FAILURES_BEFORE_LIST === 0) version = undefined;
      observer.restarted(isExpired ? 'expired' : 'failed');
      log.warn('the watch of the service accounts broke; admissions go on with what is known', {
        cause: describeError(error),
        failures,
      });
    }
    // Also after an orderly end: a server that ends each watch at once must not be hammered. Jitter spreads replicas.
    const pause = Math.min(timing.maxPause, timing.minPause * 2 ** failures);
    await sleep(pause * (0.5 + random()), signal);
  }
}

/** Fills the cache, and returns the version of the list. */
async function listAll({ api, cache }: ReflectorOptions, timing: ReflectorTiming): Promise<string> {
  const accounts: ServiceAccount[] = [];
  let token = '';
  for (;;) {
    const query = new URLSearchParams({ limit: String(PAGE), ...(token !== '' && { continue: token }) });
    const { status, body } = await api.get(`${PATH}?${query.toString()}`, timing.requestTimeout);
    if (status === GONE) throw new ExpiredError('the list changed too much while it was read');
    const page = readPage(status, body);
    for (const item of page.items) {
      const account = readServiceAccount(item);
      if (account !== undefined) accounts.push(account);
    }
    token = page.token;
    if (token !== '') continue;
    cache.replace(accounts);
    return page.version;
  }
}

interface Page {
  readonly items: readonly unknown[];
  readonly version: string;
  readonly token: string;
}

function readPage(status: number, body: unknown): Page {
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
  return { items: (items as unknown[] | undefined | null) ?? [], version: metadata.resourceVersion, token };
}

/** Resolves when the server ends the watch in order. */
async function watchFrom(
  version: string,
  { api, cache, signal, random }: ReflectorOptions,
  timing: ReflectorTiming,
  heard: (version: string | undefined) => void,
): Promise<void> {
  const seconds = Math.ceil((timing.watchLife / 1000) * (0.75 + random() / 2));
  const query = new URLSearchParams({
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: version,
    timeoutSeconds: String(seconds),
  });
  let failure: unknown;
  try {
    const status = await api.watch(`${PATH}?${query.toString()}`, {
      signal,
      connectMs: timing.requestTimeout,
      idleMs: timing.idle,
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

/** @returns the version that a next watch may go on from. */
function applyEvent(event: unknown, cache: ServiceAccountCache): string | undefined {
  const { type, object } = (event ?? {}) as { type?: unknown; object?: unknown };
  const { metadata, code, message } = (object ?? {}) as {
    metadata?: { resourceVersion?: string };
    code?: number;
    message?: string;
  };
  if (type === 'ERROR') {
    const text = `the API server ended the watch: ${message ?? 'no message'}`;
    throw code === GONE ? new ExpiredError(text) : new Error(text);
  }
  if (type === 'BOOKMARK') return metadata?.resourceVersion;
  const account = readServiceAccount(object);
  // Going on past what can't be read would miss a change for good.
  if (account === undefined) throw new ExpiredError('the watch brought something that is no service account');
  if (type === 'ADDED' || type === 'MODIFIED') cache.set(account);
  else if (type === 'DELETED') cache.delete(account);
  return metadata?.resourceVersion;
}

function describeStatus(status: number, body?: unknown): string {
  const message = (body as { message?: unknown } | undefined)?.message;
  const hint =
    status === 403
      ? ' (the ClusterRole of the webhook must allow get, list and watch of serviceaccounts)'
      : status === 401
        ? ' (its credentials are not accepted)'
        : '';
  return `${status}${typeof message === 'string' ? `: ${message}` : ''}${hint}`;
}

/** A call, so that the compiler doesn't take the state before an await for the state after it. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/**
 * A strict emulator of the part of the Kubernetes API that the webhook uses: service accounts to get, list in pages and
 * watch, Events to create, and the webhook's own configuration to get. It refuses what a real API server refuses, and
 * injects faults on request.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyedCertificate } from '../../certificates/pair.js';
import { WEBHOOK_ENTRY, WEBHOOK_NAME } from '../../names.js';
import { listenPlain, listenWithTls } from '../network/loopback-server.js';
import { type ApiRequest, readCount, readRequest, type RequestKind } from './api-requests.js';
import { createEventStore, type EventStore } from './event-store.js';
import {
  type AccountExtras,
  type AccountStore,
  type Annotations,
  createAccountStore,
} from './service-account-store.js';
import { StatusError, writeStatus } from './status-error.js';
import { createWatchers, type Watchers } from './watchers.js';

export interface ApiServerOptions {
  /** Serves over TLS with it, without TLS otherwise. */
  readonly certificate?: KeyedCertificate;
  /** The only bearer token that is accepted; without it no request needs one. */
  readonly token?: string;
}

export interface ApiServerEmulator {
  readonly port: number;
  /** Creates or replaces a service account; watchers get the change. */
  readonly put: (namespace: string, name: string, annotations?: Annotations, extras?: AccountExtras) => void;
  readonly remove: (namespace: string, name: string) => void;
  /** Sets the caBundle (PEM) of the webhook's configuration, which does not exist before. */
  readonly setCaBundle: (caBundle: string) => void;
  /** Sends a bookmark to the watchers that asked for bookmarks. */
  readonly bookmark: () => void;
  /** Deletes the history: further pages and watches, running or new, that began before get 410. */
  readonly compact: () => void;
  /** Cuts the connections of all watchers. */
  readonly cutWatches: () => void;
  /** Sends nothing more to the current watchers, as on a half-open connection. */
  readonly stallWatches: () => void;
  /** Applies the fault to all requests from now on, until {@link recover}. */
  readonly injectFault: (fault: ApiFault) => void;
  readonly recover: () => void;
  /** All requests so far, such as `GET /api/v1/serviceaccounts?limit=500`. */
  readonly requests: readonly string[];
  /** The Events that were created. */
  readonly events: readonly unknown[];
  readonly watchers: () => number;
  readonly close: () => Promise<void>;
}

export interface ApiFault {
  /** Delay before each answer. */
  readonly delayMs?: number;
  /** Status with which requests are refused. */
  readonly status?: number;
  /** Kinds of requests that have the fault; all by default. */
  readonly to?: readonly RequestKind[];
}

/** All that the emulator remembers. */
interface ApiServerState {
  readonly options: ApiServerOptions;
  readonly accounts: AccountStore;
  readonly events: EventStore;
  readonly watchers: Watchers;
  readonly requests: string[];
  fault: ApiFault;
  configuration: { readonly caBundle: string; readonly version: number } | undefined;
}

const DEFAULT_WATCH_SECONDS = 1800;

/** Starts the emulator on a free port of 127.0.0.1. */
export async function startApiServerEmulator(options: ApiServerOptions = {}): Promise<ApiServerEmulator> {
  const watchers = createWatchers();
  const accounts = createAccountStore(watchers.publish);
  const events = createEventStore();
  const requests: string[] = [];
  const state: ApiServerState = {
    options,
    accounts,
    events,
    watchers,
    requests,
    fault: {},
    configuration: undefined,
  };
  const listener = (message: IncomingMessage, response: ServerResponse): void =>
    void answerRequest(state, message, response);
  const { certificate } = options;
  const { port, close } =
    certificate === undefined ? await listenPlain(listener) : await listenWithTls(certificate, listener);
  return {
    port,
    put: accounts.put,
    remove: accounts.remove,
    setCaBundle: (caBundle) => {
      state.configuration = { caBundle, version: (state.configuration?.version ?? 0) + 1 };
    },
    bookmark: () => watchers.bookmark(accounts.getVersion()),
    compact: () => {
      accounts.compact();
      watchers.expire();
    },
    cutWatches: watchers.cut,
    stallWatches: watchers.stall,
    injectFault: (fault) => void (state.fault = fault),
    recover: () => void (state.fault = {}),
    requests,
    events: events.events,
    watchers: watchers.count,
    close,
  };
}

async function answerRequest(state: ApiServerState, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(message);
  state.requests.push(`${message.method ?? ''} ${message.url ?? ''}`);
  try {
    const request = readRequest(message);
    const { token } = state.options;
    if (token !== undefined && message.headers.authorization !== `Bearer ${token}`) {
      throw new StatusError(401, 'Unauthorized', 'Unauthorized');
    }
    await applyFault(state.fault, request.kind);
    if (request.kind === 'watch') startWatch(state, request.query, response);
    else if (request.kind === 'event') sendJson(response, 201, state.events.create(request.namespace, parseJson(body)));
    else sendJson(response, 200, readObject(state, { ...request, kind: request.kind }));
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    sendJson(response, error.code, writeStatus(error));
  }
}

/** @throws StatusError with the fault's status, after its delay. */
async function applyFault({ delayMs = 0, status, to }: ApiFault, kind: RequestKind): Promise<void> {
  if (to !== undefined && !to.includes(kind)) return;
  // The server keeps the process alive while it is needed, not a request that it delays.
  if (delayMs > 0) await sleep(delayMs, undefined, { ref: false });
  if (status !== undefined) throw new StatusError(status, 'InternalError', 'an injected fault');
}

function startWatch({ accounts, watchers }: ApiServerState, query: URLSearchParams, response: ServerResponse): void {
  const missed = accounts.listChangesSince(query.get('resourceVersion') ?? '');
  watchers.add(response, missed, {
    wantsBookmarks: query.get('allowWatchBookmarks') === 'true',
    timeoutMs: readCount(query, 'timeoutSeconds', DEFAULT_WATCH_SECONDS) * 1000,
  });
}

type ReadRequest = ApiRequest & { readonly kind: 'get' | 'list' | 'configuration' };

function readObject(state: ApiServerState, { kind, namespace, name, query }: ReadRequest): unknown {
  switch (kind) {
    case 'get':
      return state.accounts.get(namespace, name);
    case 'list':
      return state.accounts.list(readCount(query, 'limit', 0), query.get('continue') ?? '');
    case 'configuration':
      return readConfiguration(state.configuration);
  }
}

function readConfiguration(configuration: ApiServerState['configuration']): unknown {
  const name = WEBHOOK_NAME;
  if (configuration === undefined) {
    throw new StatusError(404, 'NotFound', `mutatingwebhookconfigurations "${name}" not found`);
  }
  const clientConfig = { caBundle: Buffer.from(configuration.caBundle).toString('base64') };
  const metadata = { name, uid: 'configuration', resourceVersion: String(configuration.version) };
  return { kind: 'MutatingWebhookConfiguration', metadata, webhooks: [{ name: WEBHOOK_ENTRY, clientConfig }] };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new StatusError(400, 'BadRequest', 'the body is not JSON');
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'audit-id': randomUUID() });
  response.end(JSON.stringify(body));
}

/**
 * The part of the Kubernetes API that the webhook needs: service accounts to get, list in pages and watch, Events to
 * create, and its own configuration to get. Strict: what a real API server would refuse is refused, and its bad days can
 * be had on demand.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyedCertificate } from '../../certificates/pair.js';
import { WEBHOOK_ENTRY, WEBHOOK_NAME } from '../../names.js';
import { listenPlain, listenWithTls } from '../network/loopback-server.js';
import { readCount, readRequest, type RequestKind } from './api-requests.js';
import { type Change, createAccountStore, Refusal } from './service-account-store.js';

export interface ServiceAccountApiOptions {
  /** With it the API is served over TLS, without it plainly. */
  readonly certificate?: KeyedCertificate;
  /** The bearer token that is accepted; without it anybody is. */
  readonly token?: string;
}

export interface ServiceAccountApi {
  readonly port: number;
  /** Creates or changes a service account; watchers hear of it. */
  readonly put: (namespace: string, name: string, annotations?: Readonly<Record<string, string>>) => void;
  readonly remove: (namespace: string, name: string) => void;
  /** The caBundle of the webhook's configuration, PEM; there is no configuration until it is set. */
  readonly setCaBundle: (caBundle: string) => void;
  /** Sends a bookmark to whoever asked for bookmarks. */
  readonly bookmark: () => void;
  /** Forgets the past: pages that are still to be fetched and watches, running or new, from before get 410. */
  readonly compact: () => void;
  /** Cuts the connections of all watchers. */
  readonly cutWatches: () => void;
  /** The watchers of now hear nothing more, as on a half-open connection. */
  readonly muteWatches: () => void;
  /** What is done to requests from here on. */
  readonly misbehave: (how: Misbehaviour) => void;
  /** All requests so far, such as `GET /api/v1/serviceaccounts?limit=500`. */
  readonly requests: readonly string[];
  /** Events that were created. */
  readonly events: readonly unknown[];
  readonly watchers: () => number;
  readonly close: () => Promise<void>;
}

export interface Misbehaviour {
  /** Milliseconds before each answer. */
  readonly delay?: number;
  /** Status with which requests are refused. */
  readonly status?: number;
  /** Requests that are meant; left out, all. */
  readonly to?: readonly RequestKind[];
}

interface Watcher {
  readonly response: ServerResponse;
  readonly wantsBookmarks: boolean;
  isMuted: boolean;
}

/** Starts the stand-in on a free port of 127.0.0.1. */
export async function startServiceAccountApi(options: ServiceAccountApiOptions = {}): Promise<ServiceAccountApi> {
  const store = createAccountStore(tellWatchers);
  const watchers = new Set<Watcher>();
  const events: unknown[] = [];
  const eventNames = new Set<string>();
  const requests: string[] = [];
  let misbehaviour: Misbehaviour = {};
  let caBundle: string | undefined;
  let configurationVersion = 0;

  function tellWatchers(change: Change): void {
    for (const watcher of watchers) send(watcher, change);
  }

  const watch = (query: URLSearchParams, response: ServerResponse): void => {
    const missed = store.changesSince(query.get('resourceVersion') ?? '');
    const watcher = { response, wantsBookmarks: query.get('allowWatchBookmarks') === 'true', isMuted: false };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const change of missed) send(watcher, change);
    watchers.add(watcher);
    const timer = setTimeout(() => response.end(), readCount(query, 'timeoutSeconds', 1800) * 1000);
    response.on('close', () => {
      watchers.delete(watcher);
      clearTimeout(timer);
    });
  };

  const createEvent = (namespace: string, body: unknown): unknown => {
    const { metadata, involvedObject, reason, message } = body as Partial<Record<string, Record<string, unknown>>>;
    const name = metadata?.name;
    if (typeof name !== 'string' || metadata?.namespace !== namespace || involvedObject?.namespace !== namespace) {
      throw new Refusal(422, 'Invalid', 'metadata and involvedObject of an Event name the namespace of the request');
    }
    if (typeof reason !== 'string' || typeof message !== 'string' || Buffer.byteLength(message) > 1024) {
      throw new Refusal(422, 'Invalid', 'an Event has a reason, and a message of at most 1024 bytes');
    }
    if (eventNames.has(`${namespace}/${name}`))
      throw new Refusal(409, 'AlreadyExists', `events "${name}" already exists`);
    eventNames.add(`${namespace}/${name}`);
    events.push(body);
    return body;
  };

  const getConfiguration = (): unknown => {
    const name = WEBHOOK_NAME;
    if (caBundle === undefined) throw new Refusal(404, 'NotFound', `mutatingwebhookconfigurations "${name}" not found`);
    const clientConfig = { caBundle: Buffer.from(caBundle).toString('base64') };
    const metadata = { name, uid: 'configuration', resourceVersion: String(configurationVersion) };
    return { kind: 'MutatingWebhookConfiguration', metadata, webhooks: [{ name: WEBHOOK_ENTRY, clientConfig }] };
  };

  const answer = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await text(message);
    requests.push(`${message.method ?? ''} ${message.url ?? ''}`);
    try {
      const request = readRequest(message);
      if (options.token !== undefined && message.headers.authorization !== `Bearer ${options.token}`) {
        throw new Refusal(401, 'Unauthorized', 'Unauthorized');
      }
      await suffer(misbehaviour, request.kind);
      if (request.kind === 'watch') watch(request.query, response);
      else if (request.kind === 'event') sendJson(response, 201, createEvent(request.namespace, parseJson(body)));
      else if (request.kind === 'configuration') sendJson(response, 200, getConfiguration());
      else if (request.kind === 'get') sendJson(response, 200, store.get(request.namespace, request.name));
      else
        sendJson(response, 200, store.list(readCount(request.query, 'limit', 0), request.query.get('continue') ?? ''));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      sendJson(response, error.status, writeStatus(error));
    }
  };

  const listener = (message: IncomingMessage, response: ServerResponse): void => void answer(message, response);
  const { port, close } =
    options.certificate === undefined
      ? await listenPlain(listener)
      : await listenWithTls(options.certificate, listener);
  return {
    port,
    put: store.put,
    remove: store.remove,
    setCaBundle: (pem) => {
      caBundle = pem;
      configurationVersion += 1;
    },
    bookmark: () => {
      const metadata = { resourceVersion: store.version(), creationTimestamp: null };
      const bookmark = { type: 'BOOKMARK', object: { kind: 'ServiceAccount', apiVersion: 'v1', metadata } };
      for (const watcher of watchers) if (watcher.wantsBookmarks) send(watcher, bookmark);
    },
    compact: () => {
      store.compact();
      const object = writeStatus(new Refusal(410, 'Expired', 'too old resource version'));
      for (const watcher of watchers) {
        send(watcher, { type: 'ERROR', object });
        watcher.response.end();
      }
    },
    cutWatches: () => {
      for (const { response } of watchers) response.destroy();
    },
    muteWatches: () => {
      for (const watcher of watchers) watcher.isMuted = true;
    },
    misbehave: (how) => {
      misbehaviour = how;
    },
    requests,
    events,
    watchers: () => watchers.size,
    close,
  };
}

function send(watcher: Watcher, event: Change | { readonly type: string; readonly object: unknown }): void {
  if (!watcher.isMuted) watcher.response.write(`${JSON.stringify(event)}\n`);
}

async function suffer({ delay = 0, status, to }: Misbehaviour, kind: RequestKind): Promise<void> {
  if (to !== undefined && !to.includes(kind)) return;
  // The server keeps the process alive while it is needed, not a request that it holds up.
  if (delay > 0) await sleep(delay, undefined, { ref: false });
  if (status !== undefined) throw new Refusal(status, 'InternalError', 'the stand-in has a bad day');
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new Refusal(400, 'BadRequest', 'the body is not JSON');
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'audit-id': randomUUID() });
  response.end(JSON.stringify(body));
}

function writeStatus({ status, reason, message }: Refusal): unknown {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code: status };
}

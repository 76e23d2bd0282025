/** The requests and query parameters that the emulated API server accepts; it refuses all others. */
import type { IncomingMessage } from 'node:http';
import { WEBHOOK_NAME } from '../../names.js';
import { StatusError } from './status-error.js';

/** `get`, `list` and `watch` service accounts; create an `event`; get the webhook's `configuration`. */
export type RequestKind = 'get' | 'list' | 'watch' | 'event' | 'configuration';

export interface ApiRequest {
  readonly kind: RequestKind;
  readonly namespace: string;
  readonly name: string;
  readonly query: URLSearchParams;
}

const COLLECTION = '/api/v1/serviceaccounts';
const ONE = /^\/api\/v1\/namespaces\/([^/]+)\/serviceaccounts\/([^/]+)$/;
const EVENTS = /^\/api\/v1\/namespaces\/([^/]+)\/events$/;
const CONFIGURATION = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${WEBHOOK_NAME}`;
/** The query parameters of each kind of request. */
const QUERIES: Readonly<Record<RequestKind, readonly string[]>> = {
  get: [],
  list: ['limit', 'continue'],
  watch: ['watch', 'allowWatchBookmarks', 'resourceVersion', 'timeoutSeconds'],
  event: [],
  configuration: [],
};

/** @throws StatusError 404 for an unknown path, 400 for an unknown parameter. */
export function readRequest({ method = '', url = '/' }: IncomingMessage): ApiRequest {
  const { pathname, searchParams: query } = new URL(url, 'http://api.invalid');
  const kind = findKind(method, pathname, query);
  if (kind === undefined) throw new StatusError(404, 'NotFound', `the server could not find ${method} ${pathname}`);
  for (const name of query.keys()) {
    if (!QUERIES[kind].includes(name)) throw new StatusError(400, 'BadRequest', `a ${kind} has no parameter ${name}`);
  }
  const [, namespace = '', name = ''] = ONE.exec(pathname) ?? EVENTS.exec(pathname) ?? [];
  return { kind, namespace: decodeURIComponent(namespace), name: decodeURIComponent(name), query };
}

function findKind(method: string, pathname: string, query: URLSearchParams): RequestKind | undefined {
  if (method === 'POST') return EVENTS.test(pathname) ? 'event' : undefined;
  if (method !== 'GET') return undefined;
  if (pathname === CONFIGURATION) return 'configuration';
  if (ONE.test(pathname)) return 'get';
  if (pathname !== COLLECTION) return undefined;
  return query.get('watch') === 'true' ? 'watch' : 'list';
}

/** @throws StatusError 400 where the parameter is not a number. */
export function readCount(query: URLSearchParams, name: string, fallback: number): number {
  const value = query.get(name);
  if (value === null) return fallback;
  if (!/^\d{1,9}$/.test(value)) throw new StatusError(400, 'BadRequest', `${name} is not a number: ${value}`);
  return Number(value);
}

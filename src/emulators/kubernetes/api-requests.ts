/** The requests that the stand-in for the Kubernetes API knows; any other is refused, as is a parameter that it does not know. */
import type { IncomingMessage } from 'node:http';
import { WEBHOOK_NAME } from '../../names.js';
import { Refusal } from './service-account-store.js';

/** Of service accounts `get`, `list` and `watch`; an `event` that is created; the webhook's `configuration`. */
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
/** Query parameters that each kind of request may have. */
const QUERIES: Readonly<Record<RequestKind, readonly string[]>> = {
  get: [],
  list: ['limit', 'continue'],
  watch: ['watch', 'allowWatchBookmarks', 'resourceVersion', 'timeoutSeconds'],
  event: [],
  configuration: [],
};

/** @throws Refusal 404 for what is not known, 400 for a parameter that is not. */
export function readRequest({ method = '', url = '/' }: IncomingMessage): ApiRequest {
  const { pathname, searchParams: query } = new URL(url, 'http://api.invalid');
  const kind = findKind(method, pathname, query);
  if (kind === undefined) throw new Refusal(404, 'NotFound', `the server could not find ${method} ${pathname}`);
  for (const name of query.keys()) {
    if (!QUERIES[kind].includes(name)) throw new Refusal(400, 'BadRequest', `a ${kind} has no parameter ${name}`);
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

/** @throws Refusal 400, where the parameter is no number. */
export function readCount(query: URLSearchParams, name: string, fallback: number): number {
  const value = query.get(name);
  if (value === null) return fallback;
  if (!/^\d{1,9}$/.test(value)) throw new Refusal(400, 'BadRequest', `${name} is not a number: ${value}`);
  return Number(value);
}

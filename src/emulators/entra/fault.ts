/** Fault injection for Entra, and for the proxies in front of it. */
import type { ServerResponse } from 'node:http';
import type { EpochMs } from '../../time.js';
import { formatRefusal } from './refusals.js';

export type EntraFault =
  /** A status with a plain body, such as 503, or 429 with `retryAfter` in seconds or as a date. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string; readonly body?: string }
  /** A chosen AADSTS number in Entra's own shape. */
  | { readonly kind: 'aadsts'; readonly aadsts: number; readonly status?: number; readonly retryAfter?: string }
  /** Status 200 with this body. */
  | { readonly kind: 'body'; readonly body: string }
  /** Status 200 with a sign-in page. */
  | { readonly kind: 'html' }
  /** Status 200 without a body. */
  | { readonly kind: 'empty' }
  /** Status 200 with 10 MB. */
  | { readonly kind: 'huge' }
  /** Status 200, then one byte every 100 ms, endlessly. */
  | { readonly kind: 'slow' }
  /** The request is read and never answered. */
  | { readonly kind: 'hang' }
  /** The connection is cut. */
  | { readonly kind: 'reset' }
  /** Status 302 to this address. */
  | { readonly kind: 'redirect'; readonly location: string };

const SLOW_PAUSE_MS = 100;
const HUGE_BYTES = 10_000_000;
const JSON_TYPE = 'application/json; charset=utf-8';

/** Answers with the fault. */
export function applyFault(fault: EntraFault, response: ServerResponse, now: EpochMs): void {
  if (fault.kind === 'hang') return;
  if (fault.kind === 'reset') response.socket?.destroy();
  else if (fault.kind === 'slow') trickle(response);
  else sendFault(describeFault(fault, now), response);
}

interface FaultyAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

type AnsweredFault = Exclude<EntraFault, { readonly kind: 'hang' | 'reset' | 'slow' }>;

function describeFault(fault: AnsweredFault, now: EpochMs): FaultyAnswer {
  switch (fault.kind) {
    case 'status':
      return { status: fault.status, headers: writeRetryAfter(fault.retryAfter), body: fault.body ?? '' };
    case 'aadsts': {
      const { status = 400, aadsts, retryAfter } = fault;
      const body = formatRefusal({ status, error: 'invalid_client', aadsts, message: 'A chosen answer.' }, now);
      return { status, headers: { 'content-type': JSON_TYPE, ...writeRetryAfter(retryAfter) }, body };
    }
    case 'body':
      return { status: 200, headers: { 'content-type': JSON_TYPE }, body: fault.body };
    case 'html':
      return { status: 200, headers: { 'content-type': 'text/html' }, body: '<html><body>Sign in</body></html>\n' };
    case 'empty':
      return { status: 200 };
    case 'huge':
      return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.alloc(HUGE_BYTES, ' ') };
    case 'redirect':
      return { status: 302, headers: { location: fault.location } };
  }
}

function sendFault({ status, headers = {}, body }: FaultyAnswer, response: ServerResponse): void {
  response.writeHead(status, headers).end(body);
}

function writeRetryAfter(value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { 'retry-after': value };
}

function trickle(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  const timer = setInterval(() => response.write(' '), SLOW_PAUSE_MS);
  response.once('close', () => clearInterval(timer));
}

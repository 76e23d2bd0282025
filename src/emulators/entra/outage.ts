/** The bad days of Entra, and of what stands before it. */
import type { ServerResponse } from 'node:http';
import { formatRefusal } from './refusals.js';

export type Outage =
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
  /** Status 200, then a byte each 100 ms without an end. */
  | { readonly kind: 'slow' }
  /** The request is read and never answered. */
  | { readonly kind: 'hang' }
  /** The connection is cut. */
  | { readonly kind: 'reset' }
  /** Status 302 to this address. */
  | { readonly kind: 'redirect'; readonly location: string };

/** Answers as on that day. @param now milliseconds since 1970. */
export function answerOutage(outage: Outage, response: ServerResponse, now: number): void {
  switch (outage.kind) {
    case 'status':
      return void response.writeHead(outage.status, retryAfter(outage.retryAfter)).end(outage.body ?? '');
    case 'aadsts': {
      const { status = 400, aadsts } = outage;
      const body = formatRefusal({ status, error: 'invalid_client', aadsts, message: 'A chosen answer.' }, now);
      const headers = { 'content-type': 'application/json; charset=utf-8', ...retryAfter(outage.retryAfter) };
      return void response.writeHead(status, headers).end(body);
    }
    case 'body':
      return void response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(outage.body);
    case 'html':
      return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html><body>Sign in</body></html>\n');
    case 'empty':
      return void response.writeHead(200).end();
    case 'huge':
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.alloc(10_000_000, ' '));
    case 'slow':
      trickle(response);
      return;
    case 'hang':
      return;
    case 'reset':
      return void response.socket?.destroy();
    case 'redirect':
      return void response.writeHead(302, { location: outage.location }).end();
  }
}

function retryAfter(value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { 'retry-after': value };
}

function trickle(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  const timer = setInterval(() => response.write(' '), 100);
  response.once('close', () => clearInterval(timer));
}

/** The answers of Azure DevOps to requests that it refuses. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
}

/** Sends the answer, as plain text unless its headers name another type. */
export function sendAnswer(response: ServerResponse, { status, headers = {}, body = '' }: Answer): void {
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.writeHead(status).end(body);
}

/** Without a valid token a REST client gets a page with status 203, git a 401, and a browser the sign-in page. */
export function answerUnauthorized(
  kind: 'git' | 'lfs' | 'rest',
  tenantId: string,
  request: IncomingMessage,
  url: URL,
): Answer {
  if (kind === 'rest') return answerSignIn(203);
  if (!/^git(-lfs)?\//.test(request.headers['user-agent'] ?? '')) {
    return {
      status: 302,
      headers: { Location: `https://${url.host}/_signin?reply_to=${encodeURIComponent(url.href)}` },
    };
  }
  return {
    status: 401,
    headers: {
      'X-VSS-ResourceTenant': tenantId,
      'WWW-Authenticate': [
        `Bearer authorization_uri=https://login.microsoftonline.com/${tenantId}`,
        'Basic realm="https://tfsprodweu1.visualstudio.com/"',
        'TFS-Federated',
      ],
    },
    body: 'TF400813: Resource not available for anonymous access. Client authentication required.',
  };
}

/** A page for people; a client that checks only the status takes it for success. */
export function answerSignIn(status: number): Answer {
  const body = '<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head><body></body></html>';
  return { status, headers: { 'Content-Type': 'text/html; charset=utf-8' }, body };
}

/** For an identity that is not a member, and for a wrong name. */
export function answerNotFound(name: string): Answer {
  const reason = 'does not exist or you do not have permissions for the operation you are attempting.';
  return { status: 404, body: `TF401019: The Git repository with name or identifier ${name} ${reason}` };
}

/** For a push by an identity that may only read. */
export function answerPushForbidden(clientId: string): Answer {
  const reason = "You need the Git 'GenericContribute' permission to perform this action.";
  return { status: 403, body: `TF401027: ${reason} Details: identity '${clientId}', scope 'repository'.` };
}

/** For an identity above its rate limit. */
export function answerTooManyRequests(retryAfterSeconds: number): Answer {
  const body =
    "TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource 'TSTU'.";
  const headers = {
    'Retry-After': String(retryAfterSeconds),
    'X-RateLimit-Resource': 'TSTU',
    'X-RateLimit-Limit': '200',
    'X-RateLimit-Remaining': '0',
  };
  return { status: 429, headers, body };
}

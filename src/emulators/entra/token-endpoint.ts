/**
 * A strict emulator of Entra's token endpoint: it accepts federated assertions only, verifies them as Entra does
 * (signature, issuer, subject, audience, time range, lifetime) and refuses with Entra's numbers.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KeyedCertificate } from '../../certificates/pair.js';
import { addMs, type EpochMs, epochMs, type EpochSeconds, type Now } from '../../time.js';
import { type Listening, listenWithTls } from '../network/loopback-server.js';
import { type AccessToken, type AccessTokens, createAccessTokens, type TokenLifetime } from './access-tokens.js';
import { type AssertionContext, decodeAssertion } from './assertion.js';
import {
  type Application,
  createDirectory,
  type Directory,
  type FederatedCredential,
  type Tenants,
} from './directory.js';
import { applyFault, type EntraFault } from './fault.js';
import { formatRefusal } from './refusals.js';
import { checkTokenRequest } from './token-request.js';

export interface EntraOptions {
  readonly certificate: KeyedCertificate;
  readonly tenants: Tenants;
  readonly applications: readonly Application[];
  readonly findKeys: AssertionContext['findKeys'];
  readonly now: Now;
  /** 3600 by default. */
  readonly tokenLifetimeSeconds?: number;
  /** `refresh_in` of the answers; they have none by default. */
  readonly refreshInSeconds?: number;
}

/** How a request was answered. */
export interface EntraRequest {
  readonly atMs: EpochMs;
  readonly path: string;
  readonly clientId: string | undefined;
  /** Differs between the service account tokens of one pod. */
  readonly assertionIssuedAtSeconds: EpochSeconds | undefined;
  /** `token`, `AADSTS…`, `not-found` or `fault`. */
  readonly outcome: string;
}

export interface EntraEmulator extends Listening {
  /** `https://localhost:PORT`; the certificate must have that name. */
  readonly origin: string;
  /** All requests, in order. */
  readonly requests: readonly EntraRequest[];
  /** Finds expired tokens too; `undefined` for one that was never issued or is revoked. */
  readonly findToken: (token: string) => AccessToken | undefined;
  /** Revokes one token, or all. */
  readonly revoke: (token?: string) => void;
  readonly setFederatedCredentials: (clientId: string, credentials: readonly FederatedCredential[]) => void;
  readonly setDisabled: (clientId: string, disabled: boolean) => void;
  /** Answers matching credentials with 70021 for this span. */
  readonly delayPropagation: (spanMs: number) => void;
  /** Of the tokens from now on. */
  readonly setTokenLifetime: (lifetimeSeconds: number, refreshInSeconds?: number) => void;
  /** Answers all requests with the fault, until {@link recover}. */
  readonly injectFault: (fault: EntraFault) => void;
  readonly recover: () => void;
}

/** All that the emulator remembers. */
interface EntraState {
  readonly options: EntraOptions;
  readonly directory: Directory;
  readonly tokens: AccessTokens;
  readonly requests: EntraRequest[];
  lifetime: TokenLifetime;
  propagatedAt: EpochMs;
  fault: EntraFault | undefined;
}

const DEFAULT_LIFETIME_SECONDS = 3600;
/** No real request is longer. */
const MAX_BODY_BYTES = 64 * 1024;
const HEADERS = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store, no-cache' };

/** Starts the emulator on a free port of 127.0.0.1. */
export async function startEntraEmulator(options: EntraOptions): Promise<EntraEmulator> {
  const state: EntraState = {
    options,
    directory: createDirectory(options.tenants, options.applications),
    tokens: createAccessTokens(),
    requests: [],
    lifetime: {
      lifetimeSeconds: options.tokenLifetimeSeconds ?? DEFAULT_LIFETIME_SECONDS,
      refreshInSeconds: options.refreshInSeconds,
    },
    propagatedAt: epochMs(0),
    fault: undefined,
  };
  const listening = await listenWithTls(options.certificate, (request, response) => {
    answerRequest(state, request, response).catch(() => response.destroy());
  });
  const { directory, tokens, requests } = state;
  return {
    ...listening,
    origin: `https://localhost:${listening.port}`,
    requests,
    findToken: tokens.find,
    revoke: tokens.revoke,
    setFederatedCredentials: (clientId, federatedCredentials) =>
      directory.changeApplication(clientId, { federatedCredentials }),
    setDisabled: (clientId, disabled) => directory.changeApplication(clientId, { disabled }),
    delayPropagation: (spanMs) => void (state.propagatedAt = addMs(options.now(), spanMs)),
    setTokenLifetime: (lifetimeSeconds, refreshInSeconds) =>
      void (state.lifetime = { lifetimeSeconds, refreshInSeconds }),
    injectFault: (fault) => void (state.fault = fault),
    recover: () => void (state.fault = undefined),
  };
}

async function answerRequest(state: EntraState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const form = new URLSearchParams(await readBody(request));
  const now = state.options.now();
  const path = request.url ?? '';
  const record = (outcome: string): void => {
    const clientId = form.get('client_id') ?? undefined;
    const issuedAt = decodeAssertion(form.get('client_assertion') ?? '')?.iat as EpochSeconds | undefined;
    state.requests.push({ atMs: now, path, clientId, assertionIssuedAtSeconds: issuedAt, outcome });
  };
  if (state.fault !== undefined) {
    record('fault');
    applyFault(state.fault, response, now);
    return;
  }
  const tenant = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(path)?.[1];
  if (request.method !== 'POST' || tenant === undefined) {
    record('not-found');
    response.writeHead(404).end();
    return;
  }
  const context = { now, propagatedAt: state.propagatedAt, findKeys: state.options.findKeys };
  const result = await checkTokenRequest(tenant, form, state.directory, context);
  if ('aadsts' in result) {
    record(`AADSTS${result.aadsts}`);
    response.writeHead(result.status, HEADERS).end(formatRefusal(result, now));
    return;
  }
  record('token');
  response.writeHead(200, HEADERS).end(JSON.stringify(state.tokens.issue(result, state.lifetime, now)));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new Error('the request is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * A strict stand-in for Entra's token endpoint: it takes federated assertions alone, verifies them as Entra does
 * (signature, issuer, subject, audience, time range, lifetime) and refuses with Entra's numbers.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from 'jose';
import type { KeyedCertificate } from '../../certificates/pair.js';
import { AZURE_DEVOPS_APPLICATION_ID } from '../../names.js';
import type { AccessToken } from '../azure-devops/server.js';
import { type Listening, listenWithTls } from '../network/loopback-server.js';
import { type Application, decodeAssertion, type FederatedCredential, matchCredential } from './assertion.js';
import { answerOutage, type Outage } from './outage.js';
import { formatRefusal, type Refusal, refuse } from './refusals.js';

export type { Application, FederatedCredential } from './assertion.js';
export type { Outage } from './outage.js';

export interface EntraOptions {
  readonly certificate: KeyedCertificate;
  /** Ids, each with its verified domains. */
  readonly tenants: Readonly<Record<string, readonly string[]>>;
  readonly applications: readonly Application[];
  /** The keys that an issuer publishes, or what finds them; `undefined`: Entra can't reach it. */
  readonly findKeys: (issuer: string) => JSONWebKeySet | undefined | Promise<JSONWebKeySet | undefined>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Seconds; 3600 unless told otherwise. */
  readonly tokenLifetime?: number;
  /** `refresh_in` of the answers, seconds; left out unless given. */
  readonly refreshIn?: number;
}

/** How a request was answered. */
export interface EntraRequest {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly path: string;
  readonly clientId: string | undefined;
  /** Seconds since 1970; tells the service account tokens of a pod apart. */
  readonly assertionIssuedAt: number | undefined;
  /** `token`, `AADSTS…`, or `outage`. */
  readonly outcome: string;
}

export interface EntraEmulator extends Listening {
  /** `https://localhost:PORT`; the certificate must hold that name. */
  readonly origin: string;
  /** Every request, in order. */
  readonly requests: readonly EntraRequest[];
  /** The token's record, also when it has ended; `undefined` where it was never issued or is revoked. */
  findToken(token: string): AccessToken | undefined;
  /** Withdraws one token, or all. */
  revoke(token?: string): void;
  setFederatedCredentials(clientId: string, credentials: readonly FederatedCredential[]): void;
  setDisabled(clientId: string, disabled: boolean): void;
  /** For so long, matching credentials are answered 70021. */
  delayPropagation(milliseconds: number): void;
  /** Seconds, of the tokens from now on. */
  setTokenLifetime(lifetime: number, refreshIn?: number): void;
  /** Every request is answered so, until `comeBack`. */
  goDown(outage: Outage): void;
  comeBack(): void;
}

/** Listens on a free port of 127.0.0.1. */
export async function startEntraEmulator(options: EntraOptions): Promise<EntraEmulator> {
  const state = {
    applications: new Map(options.applications.map((application) => [application.clientId.toLowerCase(), application])),
    tokens: new Map<string, AccessToken>(),
    requests: [] as EntraRequest[],
    lifetime: options.tokenLifetime ?? 3600,
    refreshIn: options.refreshIn,
    propagatedAt: 0,
    outage: undefined as Outage | undefined,
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await readBody(request));
    const path = request.url ?? '';
    const record = (outcome: string): void => {
      const assertionIssuedAt = decodeAssertion(form.get('client_assertion') ?? '')?.iat;
      const clientId = form.get('client_id') ?? undefined;
      state.requests.push({ at: options.now(), path, clientId, assertionIssuedAt, outcome });
    };
    if (state.outage !== undefined) {
      record('outage');
      answerOutage(state.outage, response, options.now());
      return;
    }
    const tenant = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(path)?.[1];
    if (request.method !== 'POST' || tenant === undefined) {
      record('not-found');
      response.writeHead(404).end();
      return;
    }
    const verdict = await judge(tenant, form);
    const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store, no-cache' };
    if ('aadsts' in verdict) {
      record(`AADSTS${verdict.aadsts}`);
      response.writeHead(verdict.status, headers).end(formatRefusal(verdict, options.now()));
      return;
    }
    record('token');
    response.writeHead(200, headers).end(JSON.stringify(issue(verdict)));
  }

  async function judge(tenantName: string, form: URLSearchParams): Promise<Application | Refusal> {
    const tenantId = findTenant(options.tenants, tenantName);
    if (tenantId === undefined) return refuse.tenant(tenantName);
    const missing = REQUIRED.find((parameter) => (form.get(parameter) ?? '') === '');
    if (missing !== undefined) return refuse.missing(missing);
    const field = (name: (typeof REQUIRED)[number]): string => form.get(name) ?? '';
    if (field('grant_type') !== 'client_credentials') return refuse.grantType(field('grant_type'));
    if (field('client_assertion_type') !== ASSERTION_TYPE) return refuse.assertionType();
    const application = state.applications.get(field('client_id').toLowerCase());
    if (application?.tenantId !== tenantId) return refuse.client(field('client_id'), tenantId);
    if (application.disabled === true) return refuse.disabled(application.clientId);
    const resource = /^(.+)\/\.default$/.exec(field('scope'))?.[1];
    if (resource === undefined) return refuse.scope(field('scope'));
    if (resource !== AZURE_DEVOPS_APPLICATION_ID) return refuse.resource(resource, tenantId);
    return (await checkAssertion(field('client_assertion'), application)) ?? application;
  }

  /** What is wrong with the assertion, or `undefined`. */
  async function checkAssertion(assertion: string, application: Application): Promise<Refusal | undefined> {
    const claims = decodeAssertion(assertion);
    if (claims === undefined) return refuse.malformed();
    const { iss = '', sub = '', iat, exp, nbf } = claims;
    const mismatch = matchCredential(application, claims);
    if (mismatch !== undefined) return mismatch;
    if (options.now() < state.propagatedAt) return refuse.notYet();
    const now = options.now() / 1000;
    if (exp === undefined || exp <= now || (nbf ?? 0) > now + CLOCK_SKEW) return refuse.outOfTime();
    if (iat === undefined || exp - iat > 86400) return refuse.tooLong();
    const keys = await options.findKeys(iss);
    if (keys === undefined) return refuse.issuerUnreachable();
    try {
      await jwtVerify(assertion, createLocalJWKSet(keys), {
        issuer: iss,
        subject: sub,
        currentDate: new Date(options.now()),
      });
      return undefined;
    } catch (error) {
      return error instanceof errors.JWKSNoMatchingKey ? refuse.keyUnknown('of the assertion') : refuse.signature();
    }
  }

  function issue({ clientId, tenantId }: Application): object {
    const { lifetime, refreshIn } = state;
    const expiresAt = options.now() + lifetime * 1000;
    const token = makeOpaqueToken({
      aud: AZURE_DEVOPS_APPLICATION_ID,
      appid: clientId,
      tid: tenantId,
      exp: Math.floor(expiresAt / 1000),
    });
    state.tokens.set(token, { clientId, tenantId, expiresAt });
    return {
      token_type: 'Bearer',
      expires_in: lifetime,
      ext_expires_in: lifetime,
      ...(refreshIn === undefined ? {} : { refresh_in: refreshIn }),
      access_token: token,
    };
  }

  function change(clientId: string, part: Partial<Application>): void {
    const application = state.applications.get(clientId.toLowerCase());
    if (application === undefined) throw new Error(`The stand-in for Entra knows no application ${clientId}`);
    state.applications.set(clientId.toLowerCase(), { ...application, ...part });
  }

  const listening = await listenWithTls(options.certificate, (request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  return {
    ...listening,
    origin: `https://localhost:${listening.port}`,
    requests: state.requests,
    findToken: (token) => state.tokens.get(token),
    revoke: (token) => {
      if (token === undefined) state.tokens.clear();
      else state.tokens.delete(token);
    },
    setFederatedCredentials: (clientId, federatedCredentials) => change(clientId, { federatedCredentials }),
    setDisabled: (clientId, disabled) => change(clientId, { disabled }),
    delayPropagation: (milliseconds) => void (state.propagatedAt = options.now() + milliseconds),
    setTokenLifetime: (lifetime, refreshIn) => void Object.assign(state, { lifetime, refreshIn }),
    goDown: (outage) => void (state.outage = outage),
    comeBack: () => void (state.outage = undefined),
  };
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const REQUIRED = ['grant_type', 'client_id', 'scope', 'client_assertion_type', 'client_assertion'] as const;
/** Seconds that a clock may be behind. */
const CLOCK_SKEW = 300;
/** No real request is longer, bytes. */
const MAX_BODY = 64 * 1024;

function findTenant(tenants: EntraOptions['tenants'], name: string): string | undefined {
  const wanted = decodeURIComponent(name).toLowerCase();
  return Object.entries(tenants).find(([id, domains]) => id.toLowerCase() === wanted || domains.includes(wanted))?.[0];
}

/** Shaped like a JWT, as real ones are; its signature is noise, for nobody but Azure DevOps may look into it. */
function makeOpaqueToken(claims: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode({ typ: 'JWT', alg: 'RS256' })}.${encode({ ...claims, uti: randomUUID() })}.${randomBytes(256).toString('base64url')}`;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY) throw new Error('the request is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

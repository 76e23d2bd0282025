/** Verifies assertions as Entra does: federated credential, time range, lifetime, signature. */
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { type EpochMs, toEpochSeconds } from '../../time.js';
import type { Application } from './directory.js';
import { type Refusal, refuse } from './refusals.js';

/** How far a clock may be behind. */
const CLOCK_SKEW_SECONDS = 300;
const MAX_LIFETIME_SECONDS = 86_400;

export interface AssertionContext {
  readonly now: EpochMs;
  /** From then on federated credentials take effect. */
  readonly propagatedAt: EpochMs;
  /** The keys that an issuer publishes; `undefined` where Entra can't reach it. */
  readonly findKeys: (issuer: string) => JSONWebKeySet | undefined | Promise<JSONWebKeySet | undefined>;
}

/** The claims, unverified; `undefined` where it is no JWT. */
export function decodeAssertion(assertion: string): JWTPayload | undefined {
  try {
    return decodeJwt(assertion);
  } catch {
    return undefined;
  }
}

/** What is wrong with the assertion, or `undefined`. */
export async function verifyAssertion(
  assertion: string,
  application: Application,
  { now, propagatedAt, findKeys }: AssertionContext,
): Promise<Refusal | undefined> {
  const claims = decodeAssertion(assertion);
  if (claims === undefined) return refuse.malformed();
  const mismatch = matchCredential(application, claims);
  if (mismatch !== undefined) return mismatch;
  if (now < propagatedAt) return refuse.notYet();
  return checkTimes(claims, now) ?? (await checkSignature(assertion, claims, await findKeys(claims.iss ?? ''), now));
}

/** Which part of the assertion is in no federated credential of the application, narrowed down as Entra does. */
function matchCredential({ clientId, federatedCredentials }: Application, claims: JWTPayload): Refusal | undefined {
  const { iss = '', sub = '', aud } = claims;
  const audiences = typeof aud === 'string' ? [aud] : (aud ?? []);
  if (federatedCredentials.length === 0) return refuse.noCredential(clientId);
  const sameIssuer = federatedCredentials.filter(({ issuer }) => issuer === iss);
  if (sameIssuer.length === 0) return refuse.issuer(iss);
  const sameSubject = sameIssuer.filter(({ subject }) => subject === sub);
  if (sameSubject.length === 0) return refuse.subject(sub);
  const same = sameSubject.some(({ audience }) => audiences.includes(audience));
  return same ? undefined : refuse.audience(audiences.join(' '));
}

function checkTimes({ iat, exp, nbf = 0 }: JWTPayload, now: EpochMs): Refusal | undefined {
  const nowSeconds = toEpochSeconds(now);
  if (exp === undefined || exp <= nowSeconds || nbf > nowSeconds + CLOCK_SKEW_SECONDS) return refuse.outOfTime();
  return iat === undefined || exp - iat > MAX_LIFETIME_SECONDS ? refuse.tooLong() : undefined;
}

async function checkSignature(
  assertion: string,
  { iss = '', sub = '' }: JWTPayload,
  keys: JSONWebKeySet | undefined,
  now: EpochMs,
): Promise<Refusal | undefined> {
  if (keys === undefined) return refuse.issuerUnreachable();
  try {
    const expected = { issuer: iss, subject: sub, currentDate: new Date(now) };
    await jwtVerify(assertion, createLocalJWKSet(keys), expected);
    return undefined;
  } catch (error) {
    return error instanceof errors.JWKSNoMatchingKey ? refuse.keyUnknown('of the assertion') : refuse.signature();
  }
}

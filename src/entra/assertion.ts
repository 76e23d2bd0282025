/** The projected service account token, as far as its holder needs to read it. PURE. */
import { VOLUME } from '../names.js';
import { type EpochMs, epochMs, type EpochSeconds, formatTime, toEpochMs, toEpochSeconds } from '../time.js';
import { isObject } from '../values/json.js';
import { createLocalFailure, type Failure, toOneLine } from './failure.js';
import type { Claims } from './identity.js';

export type AssertionReading =
  | { readonly kind: 'assertion'; readonly assertion: string; readonly claims: Claims }
  | { readonly kind: 'failure'; readonly failure: Failure };

/** Entra tolerates this difference between clocks: it may still accept a token that expired within it. */
const CLOCK_SKEW_MS = 300_000;
/** Beyond the year 9999 there is no date to show. */
const MAX_EXPIRY_SECONDS = 253_402_300_799;

/**
 * Reads the content of the token file. The signature is not verified.
 * @param file is named in the sentences.
 */
export function readAssertion(content: string, file: string, now: EpochMs): AssertionReading {
  const assertion = content.trim();
  if (assertion === '') return refuseTokenFile(file, 'empty', 'is empty');
  const payload = decodePayload(assertion);
  if (payload === undefined) return refuseTokenFile(file, 'malformed', 'does not hold a JSON Web Token');
  const claims = readClaims(payload);
  if (claims.expiresAtSeconds !== undefined && toEpochMs(claims.expiresAtSeconds) + CLOCK_SKEW_MS < now) {
    return refuse(
      'expired',
      `The service account token in ${file} (${claims.subject}) expired at ${formatTime(toEpochMs(claims.expiresAtSeconds))}. ` +
        'The kubelet replaces it at 80 % of its life: check the kubelet, and the clock of the node.',
    );
  }
  return { kind: 'assertion', assertion, claims };
}

function refuse(reason: string, message: string): AssertionReading {
  return { kind: 'failure', failure: createLocalFailure('assertion', `assertion-${reason}`, message) };
}

/**
 * The failure of a token file that can't be used.
 * @param what is wrong with it: the sentence goes on after the file's name.
 */
export function refuseTokenFile(file: string, reason: string, what: string): AssertionReading {
  return refuse(
    reason,
    `The token file ${file} ${what}. The kubelet writes the service account token there: check the pod's volume ${VOLUME.token} and the pod's events.`,
  );
}

function decodePayload(assertion: string): Readonly<Record<string, unknown>> | undefined {
  const payload = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(assertion)?.[1];
  if (payload === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function readClaims({ iss, sub, aud, exp }: Readonly<Record<string, unknown>>): Claims {
  const audience: unknown = Array.isArray(aud) ? aud[0] : aud;
  return {
    issuer: readText(iss),
    subject: readText(sub),
    audience: readText(audience),
    expiresAtSeconds: readExpiry(exp),
  };
}

function readExpiry(value: unknown): EpochSeconds | undefined {
  if (typeof value !== 'number' || !(value > 0 && value <= MAX_EXPIRY_SECONDS)) return undefined;
  return toEpochSeconds(epochMs(value * 1000));
}

function readText(value: unknown): string {
  return typeof value === 'string' && value !== '' ? toOneLine(value, 350) : '(none)';
}

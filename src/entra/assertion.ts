/** The projected service account token, as far as its holder needs to read it. PURE. */
import { createLocalFailure, type Failure, toOneLine } from './failure.js';
import type { Claims } from './identity.js';

export type AssertionReading =
  | { readonly kind: 'assertion'; readonly assertion: string; readonly claims: Claims }
  | { readonly kind: 'failure'; readonly failure: Failure };

/** Entra allows this much difference between clocks, seconds; a token that ended within it may still be taken. */
const CLOCK_SKEW_SECONDS = 300;

/**
 * Reads the content of the token file. The signature is not looked at.
 * @param file is named in the sentences.
 * @param now seconds since 1970.
 */
export function readAssertion(content: string, file: string, now: number): AssertionReading {
  const fail = (code: string, message: string): AssertionReading => ({
    kind: 'failure',
    failure: createLocalFailure('assertion', code, message),
  });
  const assertion = content.trim();
  const mend =
    'It must hold the projected service account token: look at the volume ado-git-token of the pod and at the kubelet.';
  if (assertion === '') return fail('assertion-empty', `The token file ${file} is empty. ${mend}`);
  const payload = decodePayload(assertion);
  if (payload === undefined) {
    return fail('assertion-malformed', `The token file ${file} does not hold a JSON Web Token. ${mend}`);
  }
  const claims = toClaims(payload);
  if (claims.expiresAt !== undefined && claims.expiresAt + CLOCK_SKEW_SECONDS < now) {
    return fail(
      'assertion-expired',
      `The service account token in ${file} (${claims.subject}) expired at ${new Date(claims.expiresAt * 1000).toISOString()}. ` +
        'The kubelet replaces it at 80 % of its life: look at the kubelet, and at the clock of the node.',
    );
  }
  return { kind: 'assertion', assertion, claims };
}

function decodePayload(assertion: string): Readonly<Record<string, unknown>> | undefined {
  const match = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(assertion);
  if (match?.[1] === undefined) return undefined;
  try {
    const base64 = match[1].replace(/-/g, '+').replace(/_/g, '/');
    const value: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(base64), toByte)));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function toByte(character: string): number {
  return character.charCodeAt(0);
}

function toClaims(payload: Readonly<Record<string, unknown>>): Claims {
  const { iss, sub, aud, exp } = payload;
  const audience: unknown = Array.isArray(aud) ? aud[0] : aud;
  return {
    issuer: toText(iss),
    subject: toText(sub),
    audience: toText(audience),
    // Beyond the year 9999 there is no date to show.
    expiresAt: typeof exp === 'number' && exp > 0 && exp < 253_402_300_800 ? exp : undefined,
  };
}

function toText(value: unknown): string {
  return typeof value === 'string' && value !== '' ? toOneLine(value, 350) : '(none)';
}

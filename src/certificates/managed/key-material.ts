/**
 * PURE. What the webhook's Secret holds in managed mode: the authority that issues, the certificate in use, the next
 * one, and older authorities that stay in the caBundle until what they issued has expired.
 */
import { type EpochMs, epochMs } from '../../time.js';
import type { KeyedCertificate, Validity } from '../pair.js';

/** An authority that issues no more. It stays in the caBundle while a certificate of it may be served. */
export interface Retiring {
  readonly certificatePem: string;
  readonly until: EpochMs;
}

export interface Authority extends KeyedCertificate, Validity {}

/** Its validity is the time in which its authority is valid too. */
export interface Leaf extends KeyedCertificate, Validity {
  /** The certificate of the authority that issued it. */
  readonly authorityPem: string;
}

/** All PEM texts in it are as node writes them, so that equal certificates are equal texts. */
export interface KeyMaterial {
  readonly authority: Authority;
  /** In use: a replica that finds it in the Secret may serve it at once. */
  readonly leaf: Leaf;
  /** Issued by {@link authority}; served once the caBundle that verifies it has reached every API server. */
  readonly next: Leaf | undefined;
  readonly retiring: readonly Retiring[];
}

/** What can be used of a Secret's data. */
export interface PartialKeyMaterial {
  readonly authority: Authority | undefined;
  readonly leaf: Leaf | undefined;
  readonly next: Leaf | undefined;
  readonly retiring: readonly Retiring[];
  /** Authorities of which at least the certificate is there, those in `authority` and `retiring` too. */
  readonly authorities: readonly string[];
  /** What is wrong, a sentence each; empty where the data is valid. */
  readonly problems: readonly string[];
}

/** The whole of it, or undefined where anything is wrong. */
export function asKeyMaterial(partial: PartialKeyMaterial): KeyMaterial | undefined {
  const { authority, leaf, next, retiring, problems } = partial;
  if (problems.length > 0 || authority === undefined || leaf === undefined) return undefined;
  return { authority, leaf, next, retiring };
}

/** All authorities that API servers must trust. */
export function listAuthorities({ authority, retiring }: KeyMaterial): readonly string[] {
  return [...new Set([authority.certificatePem, ...retiring.map(({ certificatePem }) => certificatePem)])];
}

/** What the Secret and the caBundle have room for: dozens of rotations within the life of one certificate. */
export const MAX_RETIRING = 32;

/** Each authority once, until the latest of its times; of too many, the last in the list are left out. */
export function limitRetiring(entries: readonly Retiring[]): Retiring[] {
  const times = new Map<string, EpochMs>();
  for (const { certificatePem, until } of entries) {
    times.set(certificatePem, epochMs(Math.max(until, times.get(certificatePem) ?? until)));
  }
  return [...times].slice(0, MAX_RETIRING).map(([certificatePem, until]) => ({ certificatePem, until }));
}

export function isValidAt({ notBefore, notAfter }: Validity, now: EpochMs): boolean {
  return notBefore <= now && notAfter > now;
}

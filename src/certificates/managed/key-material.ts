/**
 * What the webhook's Secret holds in managed mode: the authority that issues, the certificate in use, the one that comes
 * next, and the authorities that stay in the caBundle until what they issued has ended.
 */
import { X509Certificate } from 'node:crypto';
import { describeError, ProductError } from '../../errors.js';
import { checkPair, type KeyedCertificate } from '../pair.js';

/** An authority that issues no more, and stays in the caBundle while something that it issued may be served. */
export interface Retiring {
  readonly certificatePem: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

export interface Authority extends KeyedCertificate {
  /** End of its validity, milliseconds since 1970. */
  readonly end: number;
}

export interface Leaf extends KeyedCertificate {
  /** Validity, milliseconds since 1970. */
  readonly start: number;
  readonly end: number;
  /** The certificate of the authority that issued it. */
  readonly authorityPem: string;
}

/** All PEM texts in it are as node writes them, so that equal certificates are equal texts. */
export interface KeyMaterial {
  readonly authority: Authority;
  /** In use: who finds it here may serve it at once. */
  readonly leaf: Leaf;
  /** Issued by {@link authority}; served once the caBundle that verifies it has reached every API server. */
  readonly next?: Leaf;
  readonly retiring: readonly Retiring[];
}

/** What of a Secret's data can be used. */
export interface PartialKeyMaterial {
  readonly authority?: Authority;
  readonly leaf?: Leaf;
  readonly next?: Leaf;
  readonly retiring: readonly Retiring[];
  /** Authorities of which at least the certificate is there, those in `authority` and `retiring` too. */
  readonly authorities: readonly string[];
  /** What is wrong, a sentence each; empty where the Secret is sound. */
  readonly problems: readonly string[];
}

/** Keys of the Secret, which is of the type `kubernetes.io/tls`: the first two are those that other programs look for. */
export const SECRET_KEY = {
  leaf: { certificate: 'tls.crt', key: 'tls.key' },
  authority: { certificate: 'ca.crt', key: 'ca.key' },
  next: { certificate: 'next.crt', key: 'next.key' },
  retiring: 'retiring.json',
} as const;

type Texts = Readonly<Record<string, string>>;

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * The certificates of a PEM text, each as node writes it, so that equal ones are equal texts.
 * @returns `isClean` false where the text holds anything else than certificates.
 */
export function parseCertificates(text: string): {
  readonly certificates: readonly string[];
  readonly isClean: boolean;
} {
  const blocks = text.match(PEM_BLOCK) ?? [];
  const certificates = blocks.flatMap((block) => {
    const certificate = parseCertificate(block);
    return certificate === undefined ? [] : [certificate.toString()];
  });
  return { certificates, isClean: certificates.length === blocks.length && text.replace(PEM_BLOCK, '').trim() === '' };
}

/** @throws ProductError `certificate`, where the pair does not fit or is no authority. */
export function describeAuthority(pair: KeyedCertificate): Authority {
  const end = checkPair(pair, SECRET_KEY.authority);
  const certificate = new X509Certificate(pair.certificatePem);
  if (!certificate.ca) {
    throw new ProductError('certificate', `${SECRET_KEY.authority.certificate} holds no certificate authority`);
  }
  return { certificatePem: certificate.toString(), keyPem: pair.keyPem, end };
}

/**
 * @param authorities one of them must have issued it; signatures are checked, dates are not.
 * @throws ProductError `certificate`, where the pair does not fit or comes from none of them.
 */
export function describeLeaf(pair: KeyedCertificate, authorities: readonly string[], name: 'leaf' | 'next'): Leaf {
  const end = checkPair(pair, SECRET_KEY[name]);
  const certificate = new X509Certificate(pair.certificatePem);
  const authorityPem = authorities.find((pem) => {
    const authority = parseCertificate(pem);
    return authority?.ca === true && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  });
  if (authorityPem === undefined) {
    const key = SECRET_KEY[name].certificate;
    throw new ProductError('certificate', `${key} holds a certificate that no authority in the Secret has issued`);
  }
  const start = Date.parse(certificate.validFrom);
  return { certificatePem: certificate.toString(), keyPem: pair.keyPem, start, end, authorityPem };
}

/** All authorities that API servers must trust. */
export function listAuthorities(keys: KeyMaterial): readonly string[] {
  return [...new Set([keys.authority.certificatePem, ...keys.retiring.map(({ certificatePem }) => certificatePem)])];
}

/** The data of a Secret, base64, as {@link readKeyMaterial} reads them. */
export function writeData(keys: KeyMaterial): Record<string, string> {
  const retiring = keys.retiring.map(({ certificatePem, until }) => ({
    until: new Date(until).toISOString(),
    certificate: certificatePem,
  }));
  const texts: Record<string, string> = { [SECRET_KEY.retiring]: JSON.stringify(retiring) };
  for (const name of ['leaf', 'authority', 'next'] as const) {
    const pair = keys[name];
    if (pair === undefined) continue;
    texts[SECRET_KEY[name].certificate] = pair.certificatePem;
    texts[SECRET_KEY[name].key] = pair.keyPem;
  }
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
}

/**
 * Reads a Secret's data, which may be anything.
 * @param dnsName the name by which API servers know the webhook.
 */
export function readKeyMaterial(data: unknown, dnsName: string): PartialKeyMaterial {
  const texts = decode(data);
  const problems: string[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(describeError(error));
      return undefined;
    }
  };
  const authority = attempt(() => describeAuthority(readPair(texts, 'authority')));
  const retiring = attempt(() => readRetiring(texts[SECRET_KEY.retiring] ?? '')) ?? [];
  const authorities = [
    ...parseCertificates(texts[SECRET_KEY.authority.certificate] ?? '').certificates,
    ...retiring.map(({ certificatePem }) => certificatePem),
  ];
  const leaf = attempt(() => readLeaf(texts, 'leaf', dnsName, authorities));
  const { certificate, key } = SECRET_KEY.next;
  const hasNext = texts[certificate] !== undefined || texts[key] !== undefined;
  const issuers = authority === undefined ? [] : [authority.certificatePem];
  const next = hasNext ? attempt(() => readLeaf(texts, 'next', dnsName, issuers)) : undefined;
  return {
    ...(authority !== undefined && { authority }),
    ...(leaf !== undefined && { leaf }),
    ...(next !== undefined && { next }),
    retiring,
    authorities,
    problems,
  };
}

/** The whole of it, or undefined where anything is wrong. */
export function asKeyMaterial({
  authority,
  leaf,
  next,
  retiring,
  problems,
}: PartialKeyMaterial): KeyMaterial | undefined {
  if (problems.length > 0 || authority === undefined || leaf === undefined) return undefined;
  return { authority, leaf, retiring, ...(next !== undefined && { next }) };
}

function decode(data: unknown): Texts {
  const entries = typeof data === 'object' && data !== null ? Object.entries(data as Record<string, unknown>) : [];
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(String(value), 'base64').toString()]));
}

function readLeaf(texts: Texts, name: 'leaf' | 'next', dnsName: string, authorities: readonly string[]): Leaf {
  const leaf = describeLeaf(readPair(texts, name), authorities, name);
  if (new X509Certificate(leaf.certificatePem).checkHost(dnsName) !== undefined) return leaf;
  const { certificate } = SECRET_KEY[name];
  throw new ProductError('certificate', `${certificate} holds a certificate that is not for ${dnsName}`);
}

function readPair(texts: Texts, name: 'leaf' | 'authority' | 'next'): KeyedCertificate {
  const { certificate, key } = SECRET_KEY[name];
  return { certificatePem: texts[certificate] ?? '', keyPem: texts[key] ?? '' };
}

function readRetiring(text: string): Retiring[] {
  const wrong = new ProductError('certificate', `${SECRET_KEY.retiring} is not a list of certificates and times`);
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    throw wrong;
  }
  if (!Array.isArray(entries)) throw wrong;
  return entries.map((entry: Partial<Record<string, unknown>> | null) => {
    const certificate = parseCertificate(String(entry?.certificate));
    const until = Date.parse(String(entry?.until));
    if (certificate?.ca !== true || Number.isNaN(until)) throw wrong;
    return { certificatePem: certificate.toString(), until };
  });
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

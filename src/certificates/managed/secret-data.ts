/** Reads and writes key material as the data of a Secret. */
import { X509Certificate } from 'node:crypto';
import { describeError, ProductError } from '../../errors.js';
import { epochMs, formatTime } from '../../time.js';
import { isObject } from '../../values/json.js';
import { checkPair, type KeyedCertificate } from '../pair.js';
import { parseCertificate, parseCertificates } from '../pem.js';
import type { Authority, KeyMaterial, Leaf, PartialKeyMaterial, Retiring } from './key-material.js';

/** Keys of the Secret, which is of the type `kubernetes.io/tls`: the first two are those that other programs read. */
const SECRET_KEY = {
  leaf: { certificate: 'tls.crt', key: 'tls.key' },
  authority: { certificate: 'ca.crt', key: 'ca.key' },
  next: { certificate: 'next.crt', key: 'next.key' },
  retiring: 'retiring.json',
} as const;

/** The data of a Secret, each value decoded. */
type Texts = Readonly<Record<string, string>>;

/** @throws ProductError `certificate`, where the pair does not fit or is no authority. */
export function describeAuthority(pair: KeyedCertificate): Authority {
  const { notAfter } = checkPair(pair, SECRET_KEY.authority);
  const certificate = new X509Certificate(pair.certificatePem);
  if (!certificate.ca) {
    throw new ProductError('certificate', `${SECRET_KEY.authority.certificate} holds no certificate authority`);
  }
  return { certificatePem: certificate.toString(), keyPem: pair.keyPem, notAfter };
}

/**
 * @param authorities one of them must have issued it; signatures are checked, dates are not.
 * @throws ProductError `certificate`, where the pair does not fit or comes from none of them.
 */
export function describeLeaf(pair: KeyedCertificate, authorities: readonly string[], name: 'leaf' | 'next'): Leaf {
  const { notBefore, notAfter } = checkPair(pair, SECRET_KEY[name]);
  const certificate = new X509Certificate(pair.certificatePem);
  const authorityPem = authorities.find((pem) => {
    const authority = parseCertificate(pem);
    return authority?.ca === true && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  });
  if (authorityPem === undefined) {
    const key = SECRET_KEY[name].certificate;
    throw new ProductError('certificate', `${key} holds a certificate that no authority in the Secret has issued`);
  }
  return { certificatePem: certificate.toString(), keyPem: pair.keyPem, notBefore, notAfter, authorityPem };
}

/** The data of a Secret, base64, as {@link readSecretData} reads it. */
export function writeSecretData(material: KeyMaterial): Record<string, string> {
  const retiring = material.retiring.map(({ certificatePem, until }) => ({
    until: formatTime(until),
    certificate: certificatePem,
  }));
  const texts: Record<string, string> = { [SECRET_KEY.retiring]: JSON.stringify(retiring) };
  for (const name of ['leaf', 'authority', 'next'] as const) {
    const pair = material[name];
    if (pair === undefined) continue;
    texts[SECRET_KEY[name].certificate] = pair.certificatePem;
    texts[SECRET_KEY[name].key] = pair.keyPem;
  }
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
}

/**
 * Reads a Secret's data, which may be anything.
 * @param dnsName the name by which API servers call the webhook.
 */
export function readSecretData(data: unknown, dnsName: string): PartialKeyMaterial {
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
  return { authority, leaf, next, retiring, authorities, problems };
}

function decode(data: unknown): Texts {
  const entries = isObject(data) ? Object.entries(data) : [];
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
  const problem = new ProductError('certificate', `${SECRET_KEY.retiring} is not a list of certificates and times`);
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    throw problem;
  }
  if (!Array.isArray(entries)) throw problem;
  return entries.map((entry: unknown) => {
    const { certificate: pem, until: time } = isObject(entry) ? entry : {};
    const certificate = parseCertificate(String(pem));
    const until = Date.parse(String(time));
    if (certificate?.ca !== true || Number.isNaN(until)) throw problem;
    return { certificatePem: certificate.toString(), until: epochMs(until) };
  });
}

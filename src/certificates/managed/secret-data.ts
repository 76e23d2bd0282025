/** Reads and writes key material as the data of a Secret. */
import { X509Certificate } from 'node:crypto';
import { describeError, ProductError } from '../../errors.js';
import { epochMs, formatTime } from '../../time.js';
import { isObject } from '../../values/json.js';
import { checkPair, type KeyedCertificate, readValidity } from '../pair.js';
import { parseCertificate, parseCertificates } from '../pem.js';
import { findAuthorityProblem, findServerProblem, findSigningProblem, isIssuedBy } from '../soundness.js';
import {
  type Authority,
  type KeyMaterial,
  type Leaf,
  limitRetiring,
  MAX_RETIRING,
  type PartialKeyMaterial,
  type Retiring,
} from './key-material.js';

/** Keys of the Secret, which is of the type `kubernetes.io/tls`: the first two are those that other programs read. */
const SECRET_KEY = {
  leaf: { certificate: 'tls.crt', key: 'tls.key' },
  authority: { certificate: 'ca.crt', key: 'ca.key' },
  next: { certificate: 'next.crt', key: 'next.key' },
  retiring: 'retiring.json',
} as const;

/** Of a value, decoded: all authorities that are retiring, each of the largest size. */
const MAX_VALUE_BYTES = 512 * 1024;

/** The data of a Secret, which may be anything. */
type SecretData = Readonly<Record<string, unknown>>;

interface LeafOptions {
  /** One of them must have issued it. */
  readonly authorities: readonly string[];
  /** The name by which API servers call the webhook. */
  readonly dnsName: string;
  readonly name: 'leaf' | 'next';
}

/** @throws ProductError `certificate`, where the pair does not fit, or no certificate can be issued that API servers take. */
export function describeAuthority(pair: KeyedCertificate): Authority {
  const validity = checkPair(pair, SECRET_KEY.authority);
  const certificate = new X509Certificate(pair.certificatePem);
  const { asymmetricKeyType: kind = 'unknown' } = certificate.publicKey;
  const keyProblem = kind === 'rsa' ? undefined : `has a key of the kind ${kind}, and only RSA keys issue certificates`;
  refuse(SECRET_KEY.authority.certificate, findAuthorityProblem(certificate) ?? keyProblem);
  return { certificatePem: certificate.toString(), keyPem: pair.keyPem, ...validity };
}

/**
 * Dates are not checked: they are those in which the authority is valid too.
 * @throws ProductError `certificate`, where the pair does not fit, API servers refuse it, or it comes from no authority.
 */
export function describeLeaf(pair: KeyedCertificate, { authorities, dnsName, name }: LeafOptions): Leaf {
  const own = checkPair(pair, SECRET_KEY[name]);
  const certificate = new X509Certificate(pair.certificatePem);
  const file = SECRET_KEY[name].certificate;
  refuse(file, findServerProblem(certificate, dnsName) ?? findSigningProblem(certificate));
  const authorityPem = authorities.find((pem) => {
    const authority = parseCertificate(pem);
    return authority !== undefined && isIssuedBy(certificate, authority);
  });
  if (authorityPem === undefined) {
    throw new ProductError(
      'certificate',
      `${file} holds a certificate that no sound authority in the Secret has issued`,
    );
  }
  const authority = readValidity(authorityPem);
  return {
    certificatePem: certificate.toString(),
    keyPem: pair.keyPem,
    notBefore: epochMs(Math.max(own.notBefore, authority.notBefore)),
    notAfter: epochMs(Math.min(own.notAfter, authority.notAfter)),
    authorityPem,
  };
}

/** @throws ProductError `certificate`, where there is a problem. */
function refuse(file: string, problem: string | undefined): void {
  if (problem === undefined) return;
  throw new ProductError('certificate', `${file} holds a certificate that can't be used: it ${problem}`);
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
export function readSecretData(value: unknown, dnsName: string): PartialKeyMaterial {
  const data = isObject(value) ? value : {};
  const problems: string[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(describeError(error));
      return undefined;
    }
  };
  const pair = attempt(() => readPair(data, 'authority'));
  const authority = pair && attempt(() => describeAuthority(pair));
  const retiring = attempt(() => readRetiring(readText(data, SECRET_KEY.retiring))) ?? [];
  const authorities = [
    ...parseCertificates(pair?.certificatePem ?? '').certificates,
    ...retiring.map(({ certificatePem }) => certificatePem),
  ];
  const leaf = attempt(() => describeLeaf(readPair(data, 'leaf'), { authorities, dnsName, name: 'leaf' }));
  const { certificate, key } = SECRET_KEY.next;
  const hasNext = data[certificate] !== undefined || data[key] !== undefined;
  const issuers = authority === undefined ? [] : [authority.certificatePem];
  const next = hasNext
    ? attempt(() => describeLeaf(readPair(data, 'next'), { authorities: issuers, dnsName, name: 'next' }))
    : undefined;
  return { authority, leaf, next, retiring, authorities, problems };
}

/** @throws ProductError `certificate`, where a part is too large. */
function readPair(data: SecretData, name: 'leaf' | 'authority' | 'next'): KeyedCertificate {
  const { certificate, key } = SECRET_KEY[name];
  return { certificatePem: readText(data, certificate), keyPem: readText(data, key) };
}

/** @throws ProductError `certificate`, where the value is too large. */
function readText(data: SecretData, key: string): string {
  const value = data[key];
  if (typeof value !== 'string') return '';
  const bytes = Buffer.byteLength(value, 'base64');
  if (bytes <= MAX_VALUE_BYTES) return Buffer.from(value, 'base64').toString();
  throw new ProductError('certificate', `${key} has ${bytes} bytes, more than ${MAX_VALUE_BYTES}`);
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
  if (entries.length > MAX_RETIRING) {
    const count = `${entries.length} certificates, more than ${MAX_RETIRING}`;
    throw new ProductError('certificate', `${SECRET_KEY.retiring} lists ${count}`);
  }
  const retiring = entries.map((entry: unknown) => {
    const { certificate: pem, until: time } = isObject(entry) ? entry : {};
    const certificate = parseCertificate(String(pem));
    const until = Date.parse(String(time));
    if (certificate?.ca !== true || Number.isNaN(until)) throw problem;
    return { certificatePem: certificate.toString(), until: epochMs(until) };
  });
  return limitRetiring(retiring);
}

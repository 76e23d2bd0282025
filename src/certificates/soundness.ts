/**
 * PURE. What API servers refuse about a certificate, by the rules of Go's crypto/x509 and crypto/tls. OpenSSL, which node
 * uses, accepts some of it. A few rules are stricter, and say so. Each problem is the end of a sentence that begins with the
 * certificate. Dates depend on the time, so `plan.ts` and the TLS handshake of `verify.ts` have them.
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { describeError } from '../errors.js';
import {
  type CertificateFields,
  type DerElement,
  type Extension,
  readElements,
  readFields,
} from './certificate-fields.js';

/** Object identifiers of extensions, hexadecimal as they are encoded. */
const EXTENSION = {
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  nameConstraints: '551d1e',
  certificatePolicies: '551d20',
  extendedKeyUsage: '551d25',
} as const;

/** Others that are critical may change what the certificate means, so that nobody may use it who does not know them. */
const KNOWN_EXTENSIONS: readonly string[] = Object.values(EXTENSION);

const SERVER_USAGES = ['2b06010505070301' /* serverAuth */, '551d2500' /* any */];

/** RSA and ECDSA with SHA-256, SHA-384 and SHA-512; Ed25519. */
const SIGNATURE_ALGORITHMS = [
  '2a864886f70d01010b',
  '2a864886f70d01010c',
  '2a864886f70d01010d',
  '2a8648ce3d040302',
  '2a8648ce3d040303',
  '2a8648ce3d040304',
  '2b6570',
];
const RSA_PSS = '2a864886f70d01010a';
/** One of SHA-256, SHA-384 and SHA-512, for the message and for the mask. */
const PSS_HASHES = /(60864801650304020[123]).*\1/;

/** Go takes RSA keys from 1024 bits on (since 1.24), and, of servers, up to 8192. Below 2048 no key is safe. */
const RSA_BITS = { min: 2048, max: 8192 } as const;
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];

/** DER. A Secret must hold dozens. */
const MAX_CERTIFICATE_BYTES = 8 * 1024;

/** Bits of a keyUsage's first byte. */
const DIGITAL_SIGNATURE = 0x80;
const KEY_CERT_SIGN = 0x04;

/** GeneralName choices of a subjectAltName (RFC 5280 section 4.2.1.6). */
const TEXT_NAMES = [0x81, 0x82, 0x86];
const ADDRESS_NAME = 0x87;
const ADDRESS_LENGTHS = [4, 16];

type Rule = (certificate: X509Certificate, fields: CertificateFields) => string | undefined;

/** Why no API server takes the certificate in any place of a chain. */
export function findFormProblem(certificate: X509Certificate): string | undefined {
  return findFirst(certificate, FORM_RULES);
}

/** Why API servers refuse the certificate as that of a server with this name. */
export function findServerProblem(certificate: X509Certificate, dnsName: string): string | undefined {
  return findFirst(certificate, [...FORM_RULES, findSignatureProblem, findPurposeProblem, createNameRule(dnsName)]);
}

/** Stricter than Go: TLS with forward secrecy signs, whatever the certificate says. */
export function findSigningProblem(certificate: X509Certificate): string | undefined {
  return findFirst(certificate, [createUsageRule(DIGITAL_SIGNATURE, 'digitalSignature')]);
}

/** Why API servers that have it in the caBundle refuse what it issues. Stricter than Go: it has no name constraints. */
export function findAuthorityProblem(certificate: X509Certificate): string | undefined {
  return findFirst(certificate, [...FORM_RULES, ...AUTHORITY_RULES]);
}

/** Why API servers that have it above a certificate refuse that one. Name constraints are left to the TLS handshake. */
export function findIssuerProblem(certificate: X509Certificate): string | undefined {
  return findFirst(certificate, [...FORM_RULES, ...ISSUER_RULES]);
}

/** Whether a sound authority issued it, by name and signature; dates are not checked. */
export function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return (
    findAuthorityProblem(authority) === undefined &&
    hasIssuerName(certificate, authority) &&
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey)
  );
}

/** Go compares names byte by byte, OpenSSL whatever their encoding and case. */
export function hasIssuerName(certificate: X509Certificate, authority: X509Certificate): boolean {
  return readFields(certificate).issuer.equals(readFields(authority).subject);
}

function findFirst(certificate: X509Certificate, rules: readonly Rule[]): string | undefined {
  try {
    const fields = readFields(certificate);
    for (const rule of rules) {
      const problem = rule(certificate, fields);
      if (problem !== undefined) return problem;
    }
    return undefined;
  } catch (error) {
    return `can't be read: ${describeError(error)}`;
  }
}

const FORM_RULES: readonly Rule[] = [
  ({ raw }) =>
    raw.length > MAX_CERTIFICATE_BYTES ? `has ${raw.length} bytes, more than ${MAX_CERTIFICATE_BYTES}` : undefined,
  (_certificate, { isSerialNegative }) => (isSerialNegative ? 'has a negative serial number' : undefined),
  ({ publicKey }) => findKeyProblem(publicKey),
  (_certificate, { extensions }) =>
    new Set(extensions.map(({ id }) => id)).size < extensions.length ? 'has the same extension twice' : undefined,
  (_certificate, { extensions }) =>
    extensions.some(({ id, isCritical }) => isCritical && !KNOWN_EXTENSIONS.includes(id))
      ? 'has a critical extension that API servers do not know'
      : undefined,
  (_certificate, fields) =>
    readElements(readValue(fields, 'subjectAltName'))
      .flatMap(({ content }) => readElements(content))
      .every(isName)
      ? undefined
      : 'has a subject alternative name that is malformed',
];

const ISSUER_RULES: readonly Rule[] = [
  createUsageRule(KEY_CERT_SIGN, 'keyCertSign'),
  // Version 1 has no extensions, and Go takes it as a root.
  ({ ca }, { extensions }) => (ca || extensions.length === 0 ? undefined : 'is no certificate authority'),
  findPurposeProblem,
];

const AUTHORITY_RULES: readonly Rule[] = [
  ...ISSUER_RULES,
  ({ ca }) => (ca ? undefined : 'is no certificate authority'),
  (_certificate, fields) => (hasExtension(fields, 'nameConstraints') ? 'has name constraints' : undefined),
];

function findKeyProblem({ asymmetricKeyType: kind, asymmetricKeyDetails: details }: KeyObject): string | undefined {
  if (kind === 'ed25519') return undefined;
  if (kind === 'ec') {
    const curve = details?.namedCurve ?? 'unnamed';
    return CURVES.includes(curve)
      ? undefined
      : `has an EC key on the curve ${curve}, which is not P-256, P-384 or P-521`;
  }
  if (kind !== 'rsa') return `has a key of the kind ${kind ?? 'unknown'}, which is not RSA, EC or Ed25519`;
  const bits = details?.modulusLength ?? 0;
  if (bits >= RSA_BITS.min && bits <= RSA_BITS.max) return undefined;
  return `has an RSA key of ${bits} bits, which is not between ${RSA_BITS.min} and ${RSA_BITS.max}`;
}

function findSignatureProblem(_certificate: X509Certificate, fields: CertificateFields): string | undefined {
  const [outer, inner] = fields.signatureAlgorithms;
  if (!outer.whole.equals(inner.whole)) return 'names two signature algorithms';
  return isSafeAlgorithm(outer) ? undefined : 'has a signature that is not made with SHA-256, SHA-384 or SHA-512';
}

function isSafeAlgorithm({ content }: DerElement): boolean {
  const [algorithm, parameters] = readElements(content);
  const id = algorithm?.content.toString('hex') ?? '';
  if (id === RSA_PSS) return PSS_HASHES.test(parameters?.content.toString('hex') ?? '');
  return SIGNATURE_ALGORITHMS.includes(id);
}

/** Without an extendedKeyUsage any purpose is allowed. That of an authority limits what it issues. */
function findPurposeProblem(_certificate: X509Certificate, fields: CertificateFields): string | undefined {
  if (!hasExtension(fields, 'extendedKeyUsage')) return undefined;
  const usages = readElements(readValue(fields, 'extendedKeyUsage')).flatMap(({ content }) => readElements(content));
  const isForServers = usages.some(({ content }) => SERVER_USAGES.includes(content.toString('hex')));
  return isForServers ? undefined : 'is not for TLS servers (extendedKeyUsage lacks serverAuth)';
}

function createUsageRule(bit: number, name: string): Rule {
  return (_certificate, fields) => {
    if (!hasExtension(fields, 'keyUsage')) return undefined;
    const [bits] = readElements(readValue(fields, 'keyUsage'));
    // The first byte says how many bits of the last one are unused.
    return ((bits?.content[1] ?? 0) & bit) === 0 ? `has a keyUsage without ${name}` : undefined;
  };
}

/** Go reads only the subject alternative names, never the common name (since 1.15), and `*` as a whole label only. */
function createNameRule(dnsName: string): Rule {
  return (certificate) =>
    certificate.checkHost(dnsName, { subject: 'never', partialWildcards: false }) === undefined
      ? `is not for ${dnsName}, which is none of its subject alternative names`
      : undefined;
}

function isName({ tag, content }: DerElement): boolean {
  if (tag === ADDRESS_NAME) return ADDRESS_LENGTHS.includes(content.length);
  return !TEXT_NAMES.includes(tag) || content.every((byte) => byte < 0x80);
}

function hasExtension(fields: CertificateFields, name: keyof typeof EXTENSION): boolean {
  return findExtension(fields, name) !== undefined;
}

function readValue(fields: CertificateFields, name: keyof typeof EXTENSION): Buffer | undefined {
  return findExtension(fields, name)?.value;
}

function findExtension({ extensions }: CertificateFields, name: keyof typeof EXTENSION): Extension | undefined {
  return extensions.find(({ id }) => id === EXTENSION[name]);
}

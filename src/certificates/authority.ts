/**
 * A certificate authority (RSA 2048) and the server certificates that it issues (EC P-256), RFC 5280, SHA-256. node-forge
 * builds the certificates; `node:crypto` makes the keys, off the event loop, and signs. Why the kinds differ:
 * docs/decisions/0013-cost-of-an-admission.md.
 */
import { createHash, createPublicKey, generateKeyPair, randomBytes, sign } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';
import { ProductError } from '../errors.js';
import { addMs, DAY_MS, type EpochMs, epochMs } from '../time.js';
import { type KeyedCertificate, readValidity } from './pair.js';

export interface AuthorityOptions {
  /** At most 64 characters (RFC 5280, ub-common-name). */
  readonly commonName: string;
  readonly days: number;
  readonly now: EpochMs;
}

export interface IssueOptions extends AuthorityOptions {
  /** Names of the server; `*.example` is used unchanged. At least one name or address. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** A key pair, PEM: the public key as SPKI, the private key as PKCS #8. */
export interface KeyPair {
  readonly publicKeyPem: string;
  readonly keyPem: string;
}

/** RSA 2048, or EC on the curve P-256. */
export type KeyKind = 'rsa' | 'ec';

export type GenerateKeys = (kind: KeyKind) => Promise<KeyPair>;

/** Certificates are valid from this long before they are made, for machines whose clocks are behind. */
const BACKDATED_MS = 5 * 60_000;
const MAX_COMMON_NAME = 64;

const generateKeyPairAsync = promisify(generateKeyPair);

export const generateKeys: GenerateKeys = async (kind) => {
  const { publicKey, privateKey } =
    kind === 'rsa'
      ? await generateKeyPairAsync('rsa', { modulusLength: 2048 })
      : await generateKeyPairAsync('ec', { namedCurve: 'P-256' });
  return {
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
};

/** A new self-signed authority, which may sign server certificates and no other authority. */
export async function createAuthority(
  { commonName, days, now }: AuthorityOptions,
  generate = generateKeys,
): Promise<KeyedCertificate> {
  const subject = describeName(commonName);
  const keys = await generate('rsa');
  const certificate = buildCertificate(subject, now, addMs(now, days * DAY_MS));
  certificate.publicKey = forge.pki.publicKeyFromPem(keys.publicKeyPem);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  return { certificatePem: signCertificate(certificate, keys.publicKeyPem, keys.keyPem), keyPem: keys.keyPem };
}

/**
 * A certificate of the authority, for TLS servers only. It ends no later than the authority, even where `days` is more.
 * @param authority one that {@link createAuthority} made, or another with an RSA key.
 * @throws ProductError `certificate`, where a name is missing or too long.
 */
export async function issueCertificate(
  authority: KeyedCertificate,
  options: IssueOptions,
  generate = generateKeys,
): Promise<KeyedCertificate> {
  const { commonName, dnsNames, ipAddresses = [], days, now } = options;
  if (dnsNames.length + ipAddresses.length === 0) {
    throw new ProductError('certificate', `a certificate for ${commonName} needs at least one DNS name or IP address`);
  }
  const subject = describeName(commonName);
  const authorityEnd = readValidity(authority.certificatePem).notAfter;
  const issuer = forge.pki.certificateFromPem(authority.certificatePem);
  const keys = await generate('ec');
  const notAfter = epochMs(Math.min(addMs(now, days * DAY_MS), authorityEnd));
  const certificate = buildCertificate(subject, now, notAfter);
  // In the place of the certificate's own, which need not be RSA: signCertificate puts that in.
  certificate.publicKey = issuer.publicKey;
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: isRsa(keys) },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: [...dnsNames.map(describeDnsName), ...ipAddresses.map(describeIpAddress)] },
    { name: 'subjectKeyIdentifier', value: encodeKeyIdentifier(keys) },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  return { certificatePem: signCertificate(certificate, keys.publicKeyPem, authority.keyPem), keyPem: keys.keyPem };
}

/** A certificate that still lacks its key, issuer, extensions and signature. */
function buildCertificate(
  subject: forge.pki.CertificateField[],
  now: EpochMs,
  notAfter: EpochMs,
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.serialNumber = createSerialNumber();
  certificate.validity.notBefore = new Date(addMs(now, -BACKDATED_MS));
  certificate.validity.notAfter = new Date(notAfter);
  certificate.setSubject(subject);
  return certificate;
}

/** Of a TBSCertificate's fields, the place of subjectPublicKeyInfo (RFC 5280 section 4.1). */
const SUBJECT_PUBLIC_KEY_INFO = 6;

/**
 * forge knows RSA keys only, and its own RSA blocks the event loop for tens of milliseconds: so the public key is put in as
 * `node:crypto` encodes it, and `node:crypto` signs.
 * @param signerKeyPem an RSA key.
 * @returns PEM.
 */
function signCertificate(certificate: forge.pki.Certificate, publicKeyPem: string, signerKeyPem: string): string {
  const signer = {
    // forge calls this once it has built the part of the certificate that is signed.
    sign: (): string => {
      const fields = certificate.tbsCertificate.value as forge.asn1.Asn1[];
      fields[SUBJECT_PUBLIC_KEY_INFO] = forge.asn1.fromDer(encodePublicKey(publicKeyPem).toString('binary'));
      const der = Buffer.from(forge.asn1.toDer(certificate.tbsCertificate).getBytes(), 'binary');
      return sign('sha256', der, signerKeyPem).toString('binary');
    },
  };
  certificate.sign(signer as unknown as forge.pki.rsa.PrivateKey, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
}

/** The DER of a SubjectPublicKeyInfo. */
function encodePublicKey(publicKeyPem: string): Buffer {
  return createPublicKey(publicKeyPem).export({ type: 'spki', format: 'der' });
}

function isRsa({ publicKeyPem }: KeyPair): boolean {
  return createPublicKey(publicKeyPem).asymmetricKeyType === 'rsa';
}

/** The value of a subjectKeyIdentifier: 160 bits of a hash of the whole SubjectPublicKeyInfo (RFC 7093, method 4). */
function encodeKeyIdentifier({ publicKeyPem }: KeyPair): forge.asn1.Asn1 {
  const { Class, Type, create } = forge.asn1;
  const hash = createHash('sha256').update(encodePublicKey(publicKeyPem)).digest().subarray(0, 20);
  return create(Class.UNIVERSAL, Type.OCTETSTRING, false, hash.toString('binary'));
}

/** Random, positive, without a leading zero byte and 16 bytes long (RFC 5280 section 4.1.2.2 allows up to 20). */
function createSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** A distinguished name that consists of a common name. */
function describeName(commonName: string): forge.pki.CertificateField[] {
  if (commonName === '' || commonName.length > MAX_COMMON_NAME) {
    const problem = `has ${commonName.length} characters; give it 1 to ${MAX_COMMON_NAME}`;
    throw new ProductError('certificate', `the common name "${commonName}" of a certificate ${problem}`);
  }
  return [
    { name: 'commonName', value: commonName, valueTagClass: forge.asn1.Type.UTF8 as unknown as forge.asn1.Class },
  ];
}

/** GeneralName choices of RFC 5280: 2 is a DNS name, 7 an IP address. */
function describeDnsName(value: string): { type: 2; value: string } {
  return { type: 2, value };
}

function describeIpAddress(ip: string): { type: 7; ip: string } {
  return { type: 7, ip };
}

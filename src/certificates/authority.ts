/**
 * A certificate authority of our own and the server certificates that it issues (RFC 5280, RSA 2048, SHA-256).
 * Keys come from `node:crypto`, off the event loop; node-forge builds the certificates; `X509Certificate` reads them.
 */
import { generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';
import { ProductError } from '../errors.js';
import { type KeyedCertificate, readValidity } from './pair.js';

export interface AuthorityOptions {
  /** At most 64 characters (RFC 5280, ub-common-name). */
  readonly commonName: string;
  readonly days: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface IssueOptions extends AuthorityOptions {
  /** Names that the server goes by; `*.example` is taken as it is. At least one name or address. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** Certificates are valid from this long before they are made, for machines whose clocks are behind, milliseconds. */
const BACKDATED = 5 * 60_000;
const DAY = 86_400_000;
const MAX_COMMON_NAME = 64;

const generateKeys = promisify(generateKeyPair);

/** A new self-signed authority that may sign server certificates and no further authority. */
export async function createAuthority({ commonName, days, now }: AuthorityOptions): Promise<KeyedCertificate> {
  const keys = await generateRsaKeys();
  const subject = distinguishedName(commonName);
  const certificate = describeCertificate(keys.publicKeyPem, subject, now - BACKDATED, now + days * DAY);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  return signCertificate(certificate, forge.pki.privateKeyFromPem(keys.keyPem), keys.keyPem);
}

/**
 * A server certificate of the authority, for TLS servers alone. It never outlives the authority: a longer life is cut.
 * The authority is one that {@link createAuthority} made, or another with an RSA key.
 */
export async function issueCertificate(authority: KeyedCertificate, options: IssueOptions): Promise<KeyedCertificate> {
  const { commonName, dnsNames, ipAddresses = [], days, now } = options;
  if (dnsNames.length + ipAddresses.length === 0) {
    throw new ProductError('certificate', `a certificate for ${commonName} needs at least one DNS name or IP address`);
  }
  const authorityEnd = readValidity(authority.certificatePem).notAfter;
  const issuer = forge.pki.certificateFromPem(authority.certificatePem);
  const keys = await generateRsaKeys();
  const end = Math.min(now + days * DAY, authorityEnd);
  const certificate = describeCertificate(keys.publicKeyPem, distinguishedName(commonName), now - BACKDATED, end);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: [...dnsNames.map(dnsAltName), ...ipAddresses.map(ipAltName)] },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  return signCertificate(certificate, forge.pki.privateKeyFromPem(authority.keyPem), keys.keyPem);
}

async function generateRsaKeys(): Promise<{ readonly publicKeyPem: string; readonly keyPem: string }> {
  const { publicKey, privateKey } = await generateKeys('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { publicKeyPem: publicKey, keyPem: privateKey };
}

function describeCertificate(
  publicKeyPem: string,
  subject: forge.pki.CertificateField[],
  notBefore: number,
  notAfter: number,
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKeyPem);
  certificate.serialNumber = createSerialNumber();
  certificate.validity.notBefore = new Date(notBefore);
  certificate.validity.notAfter = new Date(notAfter);
  certificate.setSubject(subject);
  return certificate;
}

function signCertificate(
  certificate: forge.pki.Certificate,
  signer: forge.pki.rsa.PrivateKey,
  keyPem: string,
): KeyedCertificate {
  certificate.sign(signer, forge.md.sha256.create());
  return { certificatePem: forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n'), keyPem };
}

/** Random, positive, without a leading zero byte and 16 bytes long (RFC 5280 section 4.1.2.2 allows up to 20). */
function createSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function distinguishedName(commonName: string): forge.pki.CertificateField[] {
  if (commonName === '' || commonName.length > MAX_COMMON_NAME) {
    const mend = `has ${commonName.length} characters; give it 1 to ${MAX_COMMON_NAME}`;
    throw new ProductError('certificate', `the common name "${commonName}" of a certificate ${mend}`);
  }
  return [
    { name: 'commonName', value: commonName, valueTagClass: forge.asn1.Type.UTF8 as unknown as forge.asn1.Class },
  ];
}

/** GeneralName choices of RFC 5280: 2 is a DNS name, 7 an IP address. */
function dnsAltName(value: string): { type: 2; value: string } {
  return { type: 2, value };
}

function ipAltName(ip: string): { type: 7; ip: string } {
  return { type: 7, ip };
}

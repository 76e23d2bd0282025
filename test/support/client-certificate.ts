/** Client certificates, as an administrator makes them for the API server. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';
import type { KeyedCertificate } from '../../src/certificates/pair.js';

export interface ClientOptions {
  /** Each of the subject's; none gives an empty subject. */
  readonly commonNames?: readonly string[];
  readonly usage?: 'clientAuth' | 'serverAuth';
  /** From now on; negative where it has expired. */
  readonly days?: number;
}

const DAY_MS = 86_400_000;
// One for all: what counts is who signed the certificate.
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });

export function issueClientCertificate(
  authority: KeyedCertificate,
  { commonNames = ['kube-apiserver'], usage = 'clientAuth', days = 1 }: ClientOptions = {},
): KeyedCertificate {
  const certificate = forge.pki.createCertificate();
  certificate.serialNumber = `01${randomBytes(8).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() - 2 * DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + days * DAY_MS);
  certificate.publicKey = forge.pki.publicKeyFromPem(keys.publicKey.export({ type: 'spki', format: 'pem' }).toString());
  certificate.setSubject(commonNames.map((value) => ({ shortName: 'CN', value })));
  const issuer = forge.pki.certificateFromPem(authority.certificatePem);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'keyUsage', critical: true, digitalSignature: true },
    { name: 'extKeyUsage', [usage]: true },
    // It tells authorities of the same name apart.
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(authority.keyPem), forge.md.sha256.create());
  return {
    certificatePem: forge.pki.certificateToPem(certificate),
    keyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

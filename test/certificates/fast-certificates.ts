/** Real certificates from a few keys that are made once: hundreds of them in a test that is about when, not how. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import forge from 'node-forge';
import type { AuthorityOptions } from '../../src/certificates/authority.js';
import type { CertificateMaker } from '../../src/certificates/managed/actions.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';

const DAY = 86_400_000;

/** As short as OpenSSL still serves, and so few that making them takes little. */
const keys = Array.from({ length: 8 }, () => {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
});

/** forge's own arithmetic takes thirty times as long. */
function signNatively(certificate: forge.pki.Certificate, keyPem: string): string {
  const { tbsCertificate } = certificate as unknown as { readonly tbsCertificate: forge.asn1.Asn1 };
  const bytes = Buffer.from(forge.asn1.toDer(tbsCertificate).getBytes(), 'binary');
  return sign('sha256', bytes, keyPem).toString('binary');
}

export interface QuickMaker extends CertificateMaker {
  /** How many keys it has given out. */
  readonly count: () => number;
  /** An authority that another has issued. */
  readonly createIntermediate: (issuer: KeyedCertificate, options: AuthorityOptions) => KeyedCertificate;
}

export function createQuickMaker(): QuickMaker {
  let count = 0;

  const issue = (
    subject: string,
    from: number,
    to: number,
    extensions: object[],
    issuer?: KeyedCertificate,
  ): KeyedCertificate => {
    const pair = keys[count++ % keys.length];
    if (pair === undefined) throw new Error('no keys');
    const certificate = forge.pki.createCertificate();
    certificate.publicKey = forge.pki.publicKeyFromPem(pair.publicKey);
    certificate.serialNumber = `40${randomBytes(15).toString('hex')}`;
    certificate.validity.notBefore = new Date(from);
    certificate.validity.notAfter = new Date(to);
    certificate.setSubject([{ name: 'commonName', value: subject }]);
    const authority = issuer === undefined ? certificate : forge.pki.certificateFromPem(issuer.certificatePem);
    certificate.setIssuer(authority.subject.attributes);
    certificate.setExtensions([
      ...extensions,
      { name: 'subjectKeyIdentifier' },
      { name: 'authorityKeyIdentifier', keyIdentifier: authority.generateSubjectKeyIdentifier().getBytes() },
    ]);
    const signer = { sign: () => signNatively(certificate, issuer?.keyPem ?? pair.privateKey) };
    certificate.sign(signer as unknown as forge.pki.rsa.PrivateKey, forge.md.sha256.create());
    return {
      certificatePem: forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n'),
      keyPem: pair.privateKey,
    };
  };

  const isAuthority = [{ name: 'basicConstraints', critical: true, cA: true }];
  return {
    count: () => count,
    createAuthority: ({ commonName, days, now }) =>
      Promise.resolve(issue(commonName, now, now + days * DAY, isAuthority)),
    createIntermediate: (issuer, { commonName, days, now }) =>
      issue(commonName, now, now + days * DAY, isAuthority, issuer),
    issueCertificate: (authority, { commonName, dnsNames, days, now }) => {
      const altNames = dnsNames.map((value) => ({ type: 2, value }));
      const extensions = altNames.length === 0 ? [] : [{ name: 'subjectAltName', altNames }];
      const end = Math.min(
        now + days * DAY,
        forge.pki.certificateFromPem(authority.certificatePem).validity.notAfter.getTime(),
      );
      return Promise.resolve(issue(commonName, now, end, extensions, authority));
    },
  };
}

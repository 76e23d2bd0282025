/** PURE. Certificates in PEM texts. */
import { X509Certificate } from 'node:crypto';

export interface PemCertificates {
  /** Each as node writes it, so that equal certificates are equal texts. */
  readonly certificates: readonly string[];
  /** False where the text holds anything else, a block that can't be parsed, or too many. */
  readonly isClean: boolean;
}

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

const MAX_CERTIFICATES = 128;

/** The certificates of a PEM text, at most 128; what can't be parsed is left out. */
export function parseCertificates(text: string): PemCertificates {
  const blocks = text.match(PEM_BLOCK) ?? [];
  const certificates = blocks.slice(0, MAX_CERTIFICATES).flatMap((block) => {
    const certificate = parseCertificate(block);
    return certificate === undefined ? [] : [certificate.toString()];
  });
  return { certificates, isClean: certificates.length === blocks.length && text.replace(PEM_BLOCK, '').trim() === '' };
}

/** The first certificate of a PEM text; undefined where it can't be parsed. */
export function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

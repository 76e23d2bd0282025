/** Certificates that are given as text. PURE. */
import { X509Certificate } from 'node:crypto';
import type { Reader } from './readers.js';

/** RFC 5280 (ub-common-name) has at most 64 characters; of these only printable ones of ASCII, and no comma. */
const COMMON_NAME = /^[\x20-\x2b\x2d-\x7e]{1,64}$/;
const BLOCK_START = /(?=-----BEGIN CERTIFICATE-----)/;
const ADVICE = 'write each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----';

/**
 * One or more certificates in PEM form. Text between them is a comment, as openssl writes it. Neither dates nor
 * signatures are checked.
 */
export const readCertificates: Reader<string> = (text) => {
  // The value is copied into pods, where a key would no longer be secret.
  if (text.includes('PRIVATE KEY-----')) return { problem: 'contains a private key; remove it', hidden: true };
  const [, ...blocks] = `\n${text}`.split(BLOCK_START);
  if (blocks.length === 0) return { problem: `holds no PEM certificate; ${ADVICE}`, hidden: true };
  const wrong = blocks.findIndex((block) => !isCertificate(block));
  if (wrong === -1) return { value: text };
  const place = `${wrong + 1} of ${blocks.length}`;
  return { problem: `holds a PEM certificate (${place}) that can't be parsed; ${ADVICE}`, hidden: true };
};

/** The common name of a certificate's subject. */
export const readCommonName: Reader<string> = (text) =>
  COMMON_NAME.test(text)
    ? { value: text }
    : { problem: 'is not a common name; write up to 64 printable ASCII characters, without a comma' };

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

/** Certificates that are given as text. PURE. */
import { X509Certificate } from 'node:crypto';
import type { Reader } from './readers.js';

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

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

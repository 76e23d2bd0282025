/** A certificate with its private key: whether they fit, and when they are valid. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { describeError, ProductError } from '../errors.js';
import { type EpochMs, epochMs } from '../time.js';
import { truncate } from '../values/text.js';

/** A certificate and its private key, PEM (`CERTIFICATE` and PKCS #8 `PRIVATE KEY`). */
export interface KeyedCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** What a pair's parts are called in messages: files, or keys of a Secret. */
export interface PairNames {
  readonly certificate: string;
  readonly key: string;
}

/** Of a certificate with its chain, and of a key. */
const MAX_PEM_BYTES = 64 * 1024;

/** When a certificate is valid. */
export interface Validity {
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
}

/**
 * @returns when the certificate is valid.
 * @throws ProductError `certificate`, where a part can't be parsed or the key is not the certificate's. The message
 * names the part and says how to fix it.
 */
export function checkPair(pair: KeyedCertificate, names: PairNames): Validity {
  checkSize(pair.certificatePem, names.certificate);
  checkSize(pair.keyPem, names.key);
  const certificate = parse(`${names.certificate} holds no certificate in PEM form`, () => {
    return new X509Certificate(pair.certificatePem);
  });
  const key = parse<KeyObject>(
    `${names.key} holds no private key in PEM form that can be read without a passphrase`,
    () => createPrivateKey(pair.keyPem),
  );
  if (!certificate.checkPrivateKey(key)) {
    throw new ProductError(
      'certificate',
      `the key in ${names.key} does not belong to the certificate in ${names.certificate} (${truncate(certificate.subject.replaceAll('\n', ', '))}): give the key that the certificate was issued for; the server's own certificate comes first in its file`,
    );
  }
  // OpenSSL refuses more than it parses: keys that are too short, a chain with a bad second block.
  parse(`${names.certificate} can't be served`, () =>
    createSecureContext({ cert: pair.certificatePem, key: pair.keyPem }),
  );
  return describeValidity(certificate);
}

/** When the first certificate of the PEM text is valid. */
export function readValidity(certificatePem: string): Validity {
  return describeValidity(new X509Certificate(certificatePem));
}

function describeValidity({ validFrom, validTo }: X509Certificate): Validity {
  return { notBefore: epochMs(Date.parse(validFrom)), notAfter: epochMs(Date.parse(validTo)) };
}

function checkSize(pem: string, name: string): void {
  if (pem.length <= MAX_PEM_BYTES) return;
  throw new ProductError('certificate', `${name} has ${pem.length} bytes, more than ${MAX_PEM_BYTES}`);
}

function parse<T>(message: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ProductError('certificate', `${message}: ${describeError(error)}`, { cause: error });
  }
}

/** A certificate with its private key: whether they fit, and from when to when they are valid. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { describeError, ProductError } from '../errors.js';

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

/**
 * @returns the end of the certificate's validity, milliseconds since 1970.
 * @throws ProductError `certificate`, where a part can't be parsed or the key is not the certificate's; it names the part and what mends it.
 */
export function checkPair(pair: KeyedCertificate, names: PairNames): number {
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
      `the key in ${names.key} does not belong to the certificate in ${names.certificate} (${certificate.subject.replaceAll('\n', ', ')}): give the key that the certificate was issued for; the server's own certificate stands first in its file`,
    );
  }
  // OpenSSL refuses more than it parses: keys that are too short, a chain with a bad second block.
  parse(`${names.certificate} can't be served`, () =>
    createSecureContext({ cert: pair.certificatePem, key: pair.keyPem }),
  );
  return Date.parse(certificate.validTo);
}

/** From when to when the first certificate of the PEM text is valid, milliseconds since 1970. */
export function readValidity(certificatePem: string): { readonly notBefore: number; readonly notAfter: number } {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  return { notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo) };
}

function parse<T>(message: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ProductError('certificate', `${message}: ${describeError(error)}`, { cause: error });
  }
}

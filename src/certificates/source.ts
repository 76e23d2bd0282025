/** The seam between the TLS server and the place its certificate comes from. */
import type { ProductError } from '../errors.js';
import type { KeyedCertificate } from './pair.js';

export interface CertificateSource {
  /** A pair that fits; never one that doesn't. */
  current(): KeyedCertificate;
  /** Called with each new pair that fits. */
  onChange(listener: (pair: KeyedCertificate) => void): void;
  /** Called when a new pair does not fit; the previous one stays. */
  onRefusal(listener: (error: ProductError) => void): void;
  close(): void;
}

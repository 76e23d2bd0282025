/** PURE. The fields of a certificate that node does not show, from its DER (RFC 5280 section 4.1). */
import type { X509Certificate } from 'node:crypto';
import { ProductError } from '../errors.js';

export interface CertificateFields {
  readonly isSerialNegative: boolean;
  /** Distinguished names as they are encoded: Go compares the bytes. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** The AlgorithmIdentifier outside of what is signed, and the one inside. */
  readonly signatureAlgorithms: readonly [DerElement, DerElement];
  readonly extensions: readonly Extension[];
}

export interface Extension {
  /** Object identifier, hexadecimal as it is encoded. */
  readonly id: string;
  readonly isCritical: boolean;
  readonly value: Buffer;
}

export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  /** With its tag and length. */
  readonly whole: Buffer;
}

const TAG = { boolean: 0x01, version: 0xa0, extensions: 0xa3 } as const;
const HIGH_TAG = 0x1f;
const LONG_LENGTH = 0x80;
const MAX_LENGTH_BYTES = 3;

/** @throws ProductError `certificate`, where it is not DER. OpenSSL parses more than Go does. */
export function readFields({ raw }: X509Certificate): CertificateFields {
  const [certificate] = readElements(raw);
  const [signed, outer] = readElements(certificate?.content);
  const elements = readElements(signed?.content).filter(({ tag }) => tag !== TAG.version);
  const [serialNumber, inner, issuer, , subject] = elements;
  if (outer === undefined || inner === undefined || subject === undefined) throw createProblem();
  const extensions = elements.find(({ tag }) => tag === TAG.extensions);
  const [list] = extensions === undefined ? [] : readElements(extensions.content);
  return {
    isSerialNegative: ((serialNumber?.content[0] ?? 0) & 0x80) !== 0,
    issuer: issuer?.whole ?? Buffer.alloc(0),
    subject: subject.whole,
    signatureAlgorithms: [outer, inner],
    extensions: list === undefined ? [] : readElements(list.content).map(readExtension),
  };
}

function readExtension({ content }: DerElement): Extension {
  const [id, ...rest] = readElements(content);
  const value = rest.at(-1);
  if (id === undefined || value === undefined) throw createProblem();
  const isCritical = rest.some(({ tag, content: [flag] }) => tag === TAG.boolean && flag !== 0);
  return { id: id.content.toString('hex'), isCritical, value: value.content };
}

/**
 * The elements that stand one after the other in the bytes.
 * @throws ProductError `certificate`.
 */
export function readElements(bytes: Buffer = Buffer.alloc(0)): DerElement[] {
  const elements: DerElement[] = [];
  for (let rest = bytes; rest.length > 0;) {
    const element = readElement(rest);
    elements.push(element);
    rest = rest.subarray(element.whole.length);
  }
  return elements;
}

function readElement(bytes: Buffer): DerElement {
  const [tag = HIGH_TAG, first = 0] = bytes;
  const lengthBytes = Math.max(first - LONG_LENGTH, 0);
  const start = 2 + lengthBytes;
  const isKnown = (tag & HIGH_TAG) !== HIGH_TAG && first !== LONG_LENGTH && lengthBytes <= MAX_LENGTH_BYTES;
  if (!isKnown || bytes.length < start) throw createProblem();
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  const isShortest = lengthBytes === 0 || (length >= LONG_LENGTH && bytes[2] !== 0);
  const whole = bytes.subarray(0, start + length);
  if (!isShortest || whole.length < start + length) throw createProblem();
  return { tag, content: whole.subarray(start), whole };
}

function createProblem(): ProductError {
  return new ProductError('certificate', 'it is not encoded as DER');
}

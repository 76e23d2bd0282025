/**
 * The bytes of a file as text, and back: UTF-8 with or without byte order mark, and UTF-16 with one, as kubectl reads them.
 * The result is UTF-8. A byte that is no UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, and is written as the same byte again.
 */
import { isUtf8 } from 'node:buffer';
import { ProductError } from '../errors.js';

export interface DecodedFile {
  /** Without the byte order mark. */
  readonly text: string;
  /** Writes a text as UTF-8, with the byte order mark if the file has it. */
  readonly encode: (text: string) => Uint8Array;
  /** What a reader of the result should know. */
  readonly note?: string;
}

const UTF8_MARK = [0xef, 0xbb, 0xbf];
const UTF16_LITTLE_MARK = [0xff, 0xfe];
const UTF16_BIG_MARK = [0xfe, 0xff];

/** First bytes of what can't be read. UTF-32 stands before UTF-16, whose mark its own begins with. */
const UNREADABLE: readonly (readonly [readonly number[], string])[] = [
  [[0xff, 0xfe, 0, 0], 'UTF-32'],
  [[0, 0, 0xfe, 0xff], 'UTF-32'],
  [[0x1f, 0x8b], 'a gzip archive'],
  [[0x50, 0x4b, 3, 4], 'a zip archive'],
];

/**
 * Decodes a file.
 * @param name of the file, for errors.
 * @throws ProductError `document`, which names what the file is instead.
 */
export function decodeFile(bytes: Uint8Array, name: string): DecodedFile {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const unreadable = UNREADABLE.find(([mark]) => startsWith(buffer, mark));
  if (unreadable !== undefined) throw refuseEncoding(name, `is ${unreadable[1]}`);
  if (startsWith(buffer, UTF16_LITTLE_MARK)) return decodeUtf16(buffer.subarray(2), name);
  if (startsWith(buffer, UTF16_BIG_MARK)) return decodeUtf16(swapPairs(buffer.subarray(2)), name);
  if (buffer.includes(0)) {
    const isUtf16 = buffer[0] === 0 || buffer[1] === 0;
    const place = `has a NUL byte in line ${countLines(buffer)}`;
    throw refuseEncoding(name, isUtf16 ? 'is UTF-16 without a byte order mark' : place);
  }
  const mark = startsWith(buffer, UTF8_MARK) ? Buffer.from(UTF8_MARK) : Buffer.alloc(0);
  return { text: decodeUtf8(buffer.subarray(mark.length)), encode: (text) => Buffer.concat([mark, encodeUtf8(text)]) };
}

/** The first byte in the text that was no UTF-8, as `0xE9`. */
export function findStrayByte(text: string): string | undefined {
  const [stray] = /[\uDC80-\uDCFF]/u.exec(text) ?? [];
  return stray === undefined ? undefined : `0x${(stray.charCodeAt(0) - 0xdc00).toString(16).toUpperCase()}`;
}

function swapPairs(content: Buffer): Buffer {
  return content.length % 2 === 1 ? content : Buffer.from(content).swap16();
}

function startsWith(buffer: Buffer, mark: readonly number[]): boolean {
  return mark.every((byte, index) => buffer[index] === byte);
}

function refuseEncoding(name: string, clause: string): ProductError {
  return new ProductError('document', `${name} ${clause}; save it as UTF-8, or as UTF-16 with a byte order mark`);
}

function countLines(buffer: Buffer): number {
  return buffer.subarray(0, buffer.indexOf(0)).toString('latin1').split('\n').length;
}

/** What has half of a surrogate pair can't be written as UTF-8. */
const HALF = /\p{Surrogate}/u;

function decodeUtf16(content: Buffer, name: string): DecodedFile {
  if (content.length % 2 === 1) throw refuseEncoding(name, 'is UTF-16 with an odd number of bytes');
  const text = content.toString('utf16le');
  const half = HALF.exec(text);
  if (half !== null) {
    const line = text.slice(0, half.index).split('\n').length;
    throw refuseEncoding(name, `is UTF-16 with half of a surrogate pair in line ${line}`);
  }
  return { text, encode: encodeUtf8, note: `${name} is UTF-16; the result is UTF-8` };
}

/** Well-formed sequences of two to four bytes (RFC 3629), or a single byte that belongs to none. */
const SEQUENCES =
  /[\xC2-\xDF][\x80-\xBF]|(?:\xE0[\xA0-\xBF]|[\xE1-\xEC\xEE\xEF][\x80-\xBF]|\xED[\x80-\x9F])[\x80-\xBF]|(?:\xF0[\x90-\xBF]|[\xF1-\xF3][\x80-\xBF]|\xF4[\x80-\x8F])[\x80-\xBF]{2}|[\x80-\xFF]/g;

function decodeUtf8(buffer: Buffer): string {
  if (isUtf8(buffer)) return buffer.toString('utf8');
  return buffer
    .toString('latin1')
    .replace(SEQUENCES, (sequence) =>
      sequence.length === 1
        ? String.fromCharCode(0xdc00 + sequence.charCodeAt(0))
        : Buffer.from(sequence, 'latin1').toString('utf8'),
    );
}

function encodeUtf8(text: string): Buffer {
  if (findStrayByte(text) === undefined) return Buffer.from(text);
  const parts = text.split(/([\uDC80-\uDCFF])/u);
  // Every second part is a stray byte.
  return Buffer.concat(
    parts.map((part, index) => (index % 2 === 0 ? Buffer.from(part) : Buffer.from([part.charCodeAt(0) - 0xdc00]))),
  );
}

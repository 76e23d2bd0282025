/**
 * Bounds of an AdmissionReview, checked on its bytes before anything is built from them. `JSON.parse` makes up to thirty
 * bytes of memory from each byte of `{},{},…`, and costs by the value, not by the byte. PURE.
 */

/** Pods whose containers have twenty variables each have 65,000 values in a MiB. */
const MAX_VALUES = 100_000;

/** Values of one list or object. An object of more keys costs several times as much for each as a small one. */
const MAX_ITEMS = 32_768;

/** The API's own types are about 20 deep; `managedFields` repeats them once. */
const MAX_DEPTH = 100;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
/** `[` and `{`, `]` and `}` differ in this bit only. */
const BRACE_BIT = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;

/** Why the JSON is not parsed, as a clause after "the body"; `undefined` where it may be. Takes about a nanosecond per byte. */
export function findExcess(bytes: Buffer): string | undefined {
  const commas = new Uint32Array(MAX_DEPTH + 1);
  let values = 1;
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      at = findEndOfText(bytes, at + 1);
    } else if (byte === COMMA) {
      values++;
      commas[depth] = countCommas(commas, depth) + 1;
    } else if ((byte | BRACE_BIT) === OPENING) {
      values++;
      if (depth === MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
      commas[++depth] = 0;
    } else if ((byte | BRACE_BIT) === CLOSING) {
      if (countCommas(commas, depth) >= MAX_ITEMS) return `has more than ${MAX_ITEMS} items in one list or object`;
      // Below zero it is not JSON, which is found out later.
      if (depth > 0) depth--;
    }
  }
  return values > MAX_VALUES ? `has more than ${MAX_VALUES} values` : undefined;
}

function countCommas(commas: Uint32Array, depth: number): number {
  return commas[depth] ?? 0;
}

/** Index of the quote that ends a text. */
function findEndOfText(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

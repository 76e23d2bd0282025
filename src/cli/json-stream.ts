/** JSON values one after the other, as `jq` and repeated calls of `kubectl get -o json` write them. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** More than any Kubernetes object has. */
const MAX_DEPTH = 500;
const LONG_NUMBER = /\d{16}|\d[eE.]/;

/**
 * The text of each object, with the blanks around it; `undefined` where the text is anything but JSON objects one after
 * the other.
 */
export function splitJsonObjects(text: string): string[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  const parts: string[] = [];
  let start = 0;
  while (start < text.length) {
    const end = skipBlanks(text, findObjectEnd(text, start));
    const part = text.slice(start, end);
    if (part.trim() === '' || !isJson(part)) return undefined;
    parts.push(part);
    start = end;
  }
  return parts;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function skipBlanks(text: string, from: number): number {
  const blanks = /\s*/y;
  blanks.lastIndex = from;
  blanks.test(text);
  return blanks.lastIndex;
}

/** The index after the brace that closes the first object, or the end of the text; the start where it is nested too deeply. */
function findObjectEnd(text: string, from: number): number {
  let depth = 0;
  for (let index = from; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) index = findStringEnd(text, index);
    else if ((code === 0x7b || code === 0x5b) && ++depth > MAX_DEPTH) return from;
    else if ((code === 0x7d || code === 0x5d) && --depth === 0) return index + 1;
  }
  return text.length;
}

function findStringEnd(text: string, from: number): number {
  let index = from + 1;
  while (index < text.length && text.charCodeAt(index) !== QUOTE) {
    index += text.charCodeAt(index) === BACKSLASH ? 2 : 1;
  }
  return index;
}

/** Whether JSON has numbers that may change when they are parsed and written. */
export function hasLongNumber(text: string): boolean {
  let start = 0;
  for (let quote = text.indexOf('"'); quote !== -1; quote = text.indexOf('"', start)) {
    if (LONG_NUMBER.test(text.slice(start, quote))) return true;
    start = findStringEnd(text, quote) + 1;
  }
  return LONG_NUMBER.test(text.slice(start));
}

/** Formats patches and JSON values like YAML, with long texts cut. */
import type { Operation } from '../inject/index.js';

/** The lines that are shown of a text. */
const SHOWN_LINES = 8;
/** Certificates are not readable. */
const SHOWN_LINES_OF_PEM = 1;
/** A list or object up to this length is on one line. */
const FLOW_COLUMNS = 76;

/** The patch as lines: operation and path, then the value beside or below. */
export function describePatch(patch: readonly Operation[]): string[] {
  return patch.flatMap((operation) => {
    const path = operation.path.replaceAll('~1', '/').replaceAll('~0', '~');
    const head = `${operation.op} ${path}`;
    return operation.op === 'remove' ? [head] : describeEntry(`${head}:`, operation.value);
  });
}

/** The value as lines. */
export function describeValue(value: unknown): string[] {
  if (!isNested(value)) return [describeFlat(value)];
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first = '', ...others] = isNested(item) ? describeValue(item) : describeEntry('', item);
      return [`- ${first.trimStart()}`, ...others.map(indent)];
    });
  }
  return Object.entries(value).flatMap(([key, item]) => describeEntry(`${key}:`, item));
}

function describeEntry(head: string, value: unknown): string[] {
  if (typeof value === 'string' && value.includes('\n')) return [`${head} |`, ...cutText(value).map(indent)];
  if (!isNested(value)) return [`${head} ${describeFlat(value)}`];
  return [head, ...describeValue(value).map(indent)];
}

function cutText(text: string): string[] {
  const lines = text.trimEnd().replaceAll('\t', '    ').split('\n');
  const shown = text.startsWith('-----BEGIN') ? SHOWN_LINES_OF_PEM : SHOWN_LINES;
  const more = lines.length - shown;
  return more < 2 ? lines : [...lines.slice(0, shown), `… ${more} more lines`];
}

function indent(line: string): string {
  return `  ${line}`;
}

/** Whether the value needs lines of its own. */
function isNested(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const inner: unknown[] = Object.values(value);
  const isShallow = inner.every((item) => typeof item !== 'object' || item === null || isListOfPlain(item));
  const hasLongText = inner.some((item) => typeof item === 'string' && item.includes('\n'));
  return !isShallow || hasLongText || describeFlat(value).length > FLOW_COLUMNS;
}

function isListOfPlain(value: object): boolean {
  return Array.isArray(value) && value.every((item) => typeof item !== 'object');
}

function describeFlat(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(describeFlat).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => `${key}: ${describeFlat(item)}`);
    return `{ ${entries.join(', ')} }`;
  }
  if (typeof value !== 'string') return String(value);
  if (/^[\w/-][\w./:@=-]*$/.test(value) && !/^(?:[\d.]+|true|false|null|yes|no|on|off)$/i.test(value)) return value;
  return value.includes('"') && !value.includes("'") ? `'${value}'` : JSON.stringify(value);
}

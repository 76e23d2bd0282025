/** Commands that a message offers to copy. PURE. */
import { cleanLine, truncate } from './text.js';

const NEEDS_NO_QUOTES = /^[\w@%+=:,./-]+$/;

/** A word of a command for sh. Nothing in it acts: no blank, substitution, separator or line end. */
export function quoteForShell(word: string): string {
  if (word.length <= 253 && NEEDS_NO_QUOTES.test(word)) return word;
  return `'${cleanLine(truncate(word)).replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * Puts texts from outside into sentences. Admission comes before Kubernetes' validation, so a name or value may have any
 * length and contain any character. PURE.
 */

const MAX_SHOWN = 80;
const MAX_LISTED = 10;
/**
 * What a terminal does not show as itself: control and format characters, so bidirectional and zero-width ones too, other
 * characters that fonts leave out, and all blanks but the space.
 */
const UNPRINTABLE = /(?! )[\p{C}\p{Z}\p{DI}]/gu;
const UNPRINTABLE_RUN = /[\p{C}\p{Z}\p{DI}]+/gu;
/** What needs no quotes in a sentence: names, paths, keys of annotations. */
const PLAIN_NAME = /^[\w./:-]+$/;

/** The text, cut to a length that fits a sentence. */
export function truncate(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 3)}...` : text;
}

/** The text in quotes, with whatever is not printable escaped. */
export function quote(text: string): string {
  return JSON.stringify(truncate(text)).replace(
    UNPRINTABLE,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** A name as it is where it can be one, else in quotes. */
export function showName(text: string): string {
  return PLAIN_NAME.test(text) ? truncate(text) : quote(text);
}

/** The text as one line; a blank stands for each run of what is not printable. */
export function cleanLine(text: string): string {
  return text.replace(UNPRINTABLE_RUN, ' ').trim();
}

/** `a, b, c`; of a long list the first names, and how many more there are. */
export function joinTruncated(names: Iterable<string>): string {
  const all = [...names];
  const shown = all.slice(0, MAX_LISTED).map(showName).join(', ');
  return all.length > MAX_LISTED ? `${shown} and ${all.length - MAX_LISTED} more` : shown;
}

/** `a, b or c`. */
export function joinWords(words: readonly string[], conjunction: 'and' | 'or'): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} ${conjunction} ${words.at(-1) ?? ''}`;
}

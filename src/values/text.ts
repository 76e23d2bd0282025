/**
 * Puts texts from outside into sentences. Admission comes before Kubernetes' validation, so a name or value may have any
 * length and contain any character. PURE.
 */

const MAX_SHOWN = 80;
const MAX_LISTED = 10;

/** The text, cut to a length that fits a sentence. */
export function truncate(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 3)}...` : text;
}

/** The text in quotes, with line ends and control characters escaped. */
export function quote(text: string): string {
  return JSON.stringify(truncate(text));
}

/** `a, b, c`; of a long list the first names, and how many more there are. */
export function joinTruncated(names: Iterable<string>): string {
  const all = [...names];
  const shown = all.slice(0, MAX_LISTED).map(truncate).join(', ');
  return all.length > MAX_LISTED ? `${shown} and ${all.length - MAX_LISTED} more` : shown;
}

/** `a, b or c`. */
export function joinWords(words: readonly string[], conjunction: 'and' | 'or'): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} ${conjunction} ${words.at(-1) ?? ''}`;
}

/**
 * Texts from outside in sentences: admission comes before validation, so a name or value may have any length and hold
 * anything.
 */

const MAX_SHOWN = 80;
const MAX_LISTED = 10;

/** The text, cut to what fits a sentence. */
export function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 3)}...` : text;
}

/** The text in quotes, with what can't be printed escaped. */
export function quote(text: string): string {
  return JSON.stringify(cut(text));
}

/** `a, b, c`, and how many more where there are many. */
export function list(names: Iterable<string>): string {
  const all = [...names];
  const shown = all.slice(0, MAX_LISTED).map(cut).join(', ');
  return all.length > MAX_LISTED ? `${shown} and ${all.length - MAX_LISTED} more` : shown;
}

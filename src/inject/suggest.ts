/** Suggests the known name that a misspelt one stands for. PURE. */

/** Kubernetes allows no longer names of annotations, but admission comes before its validation. */
const MAX_LENGTH = 63;
/** Shorter words are the beginning of anything. */
const MIN_BEGINNING = 3;

/**
 * The candidate that is spelt like the word: few edits away, or begun by it, such as `organizations` by `org`. Upper case,
 * hyphens and British spelling do not count.
 */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const plain = simplify(word);
  const singular = plain.replace(/s$/, '');
  let nearest: string | undefined;
  let fewest = Infinity;
  for (const candidate of candidates) {
    const name = simplify(candidate);
    const isBegun = singular.length >= MIN_BEGINNING && name.startsWith(singular);
    const most = isBegun ? name.length : Math.max(1, Math.floor(name.length / 3));
    if (Math.abs(plain.length - name.length) > most) continue;
    const edits = countEdits(plain, name);
    if (edits > most || edits >= fewest) continue;
    fewest = edits;
    nearest = candidate;
  }
  return nearest;
}

/** As {@link findNearest}, for the parts of a word such as `allowed-organisations` or `accessMode`. */
export function findNearestOfPart(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  for (const part of word.split(/[-_.]|(?=[A-Z])/)) {
    const nearest = findNearest(part, candidates);
    if (nearest !== undefined) return nearest;
  }
  return undefined;
}

function simplify(word: string): string {
  return word
    .toLowerCase()
    .replace(/[-_.]/g, '')
    .replace(/isation/g, 'ization');
}

/** The Levenshtein distance, computed row by row. */
function countEdits(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

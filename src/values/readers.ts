/** Readers of values from outside: each returns a value that can't be wrong, or says what is wrong and what would be right. PURE. */
import { joinWords, quote } from './text.js';

export type Reading<T> = { readonly value: T } | Problem;

export interface Problem {
  /** A clause that follows the quoted text in a sentence, and says what would be right. */
  readonly problem: string;
  /** Where the text is a list: the item that the clause is about. */
  readonly item?: string;
  /** The text may hold a secret, and is not shown; the clause must not repeat it. */
  readonly hidden?: boolean;
}

/** Reads a text without blanks around it; never throws. */
export type Reader<T> = (text: string) => Reading<T>;

export function readChoice<T extends string>(choices: readonly T[]): Reader<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    return value === undefined ? { problem: `is not known; write ${joinWords(choices, 'or')}` } : { value };
  };
}

/** @param what the number is, with its unit: `a port`, `a number of seconds`. */
export function readWhole(least: number, most: number, what: string): Reader<number> {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    return value >= least && value <= most ? { value } : { problem: `is not ${what} from ${least} to ${most}` };
  };
}

/** One special word, or what the reader accepts. */
export function readOr<T, U>(word: string, meaning: U, reader: Reader<T>): Reader<T | U> {
  return (text) => {
    if (text === word) return { value: meaning };
    const reading = reader(text);
    return 'value' in reading ? reading : { ...reading, problem: `${reading.problem}, and not ${quote(word)}` };
  };
}

/** Limit of items in one list; no list that fits a pod's annotations has so many. */
const MAX_ITEMS = 4096;

/** Splits a text, and stops at the limit: an item costs memory even where it is empty. */
export function splitItems(text: string, separator: string): Reading<readonly string[]> {
  // One more than allowed, so that the excess shows.
  const items = text.split(separator, MAX_ITEMS + 1);
  return items.length > MAX_ITEMS ? { problem: `holds more than ${MAX_ITEMS} items` } : { value: items };
}

/** Each item is read by itself; blanks around items don't count. */
export function readList<T>(readItem: Reader<T>, separator = ','): Reader<readonly T[]> {
  return (text) => {
    const items = splitItems(text, separator);
    if ('problem' in items) return items;
    const values: T[] = [];
    for (const part of items.value) {
      const item = part.trim();
      if (item === '') return { problem: `holds an empty item; separate items by one "${separator}"` };
      const reading = readItem(item);
      if ('problem' in reading) return text.trim() === item ? reading : { ...reading, item };
      values.push(reading.value);
    }
    return { value: values };
  };
}

/** Accepts what the reader accepts, but keeps the text as written: for values that another program will read. */
export function keepText(reader: Reader<unknown>): Reader<string> {
  return (text) => {
    const reading = reader(text);
    return 'value' in reading ? { value: text } : reading;
  };
}

/** The text and what is wrong with it: `"a" is not …`, or `"a,b": "b" is not …`; hidden texts are left out. */
export function describeProblem(text: string, { problem, item, hidden = false }: Problem): string {
  if (hidden) return problem;
  return `${quote(text)}${item === undefined ? '' : `: ${quote(item)}`} ${problem}`;
}

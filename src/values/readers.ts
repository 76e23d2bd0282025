/** Readers of values from outside: each gives a value that can't be wrong, or says what is wrong and what would be right. */
import { joinWords, quote } from './text.js';

/** A value, or what is wrong with the text: a clause that follows the quoted text in a sentence, and says what would be right. */
export type Reading<T> = { readonly value: T } | Problem;

export interface Problem {
  readonly problem: string;
  /** Where the text is a list: the item that the clause speaks of. */
  readonly item?: string;
}

export type Reader<T> = (text: string) => Reading<T>;

export function readChoice<T extends string>(choices: readonly T[]): Reader<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    return value === undefined ? { problem: `is not known; write ${joinWords(choices, 'or')}` } : { value };
  };
}

export function readWhole(least: number, most: number, what: string): Reader<number> {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    return value >= least && value <= most ? { value } : { problem: `is not ${what} from ${least} to ${most}` };
  };
}

/** A comma-separated list, each item read by itself; blanks around items don't count. */
export function readList<T>(readItem: Reader<T>, separator = ','): Reader<readonly T[]> {
  return (text) => {
    const values: T[] = [];
    for (const item of text.split(separator).map((part) => part.trim())) {
      if (item === '') return { problem: `holds an empty item; separate items by one "${separator}"` };
      const reading = readItem(item);
      if ('problem' in reading) return text.trim() === item ? reading : { ...reading, item };
      values.push(reading.value);
    }
    return { value: values };
  };
}

/** The text and what is wrong with it: `"a" is not …`, or `"a,b": "b" is not …`. */
export function describeProblem(text: string, { problem, item }: Problem): string {
  return `${quote(text)}${item === undefined ? '' : `: ${quote(item)}`} ${problem}`;
}

/** Reads YAML values. */
import {
  Document,
  type DocumentOptions,
  isScalar,
  parseDocument,
  type ParseOptions,
  type SchemaOptions,
  visit,
} from 'yaml';
import { describeError } from '../errors.js';
import { type AliasBudget, buildValue, isMergeKey, MAX_ALIAS_VALUES, NoValueError } from './yaml-values.js';

export interface Reading {
  readonly value?: unknown;
  readonly error?: Flaw;
}

export interface Flaw {
  readonly message: string;
  /** Character of the text. */
  readonly position: number;
}

/** YAML 1.1 without dates and times, as Kubernetes' tools read it. */
const VALUES: DocumentOptions & ParseOptions & SchemaOptions = {
  version: '1.1',
  prettyErrors: false,
  // The package's own test compares each key with all before it.
  uniqueKeys: false,
  customTags: (tags) =>
    tags.filter((tag) => typeof tag === 'string' || (!tag.tag.endsWith(':timestamp') && tag.format !== 'TIME')),
};

/** Begins, ends or has within what is syntax to YAML. */
const SYNTAX = /^(?:[,[\]{}#&*!|>'"%@`\s]|[-?:](?:\s|$))|:(?:\s|$)|\s#|\s$/;

/** Tells whether YAML would read a line of plain text as something else, such as a number. */
export function prepareQuoteTest(): (line: string) => boolean {
  const { tags } = new Document(null, VALUES).schema;
  const tests = tags.flatMap((tag) => ('test' in tag && tag.default !== undefined ? [tag.test] : []));
  return (line) => SYNTAX.test(line) || tests.some((test) => test.test(line));
}

/** Reads one document as Kubernetes' tools do: YAML 1.1, where `0644` is 420 and `yes` is true, without dates and times. */
export function readYaml(text: string, budget: AliasBudget = { remaining: MAX_ALIAS_VALUES }): Reading {
  try {
    const tree = parseDocument(normalizeBreaks(text), VALUES);
    const [error] = tree.errors;
    if (error !== undefined) return { error: { message: explainMessage(error.message), position: error.pos[0] } };
    return { value: buildValue(tree, budget) ?? undefined };
  } catch (failure) {
    return { error: explainFailure(failure) };
  }
}

function explainFailure(failure: unknown): Flaw {
  return failure instanceof NoValueError ? failure : { message: explainMessage(describeError(failure)), position: 0 };
}

/** The package reports a full stack in the engine's words, thrown or as an error of the document. */
function explainMessage(message: string): string {
  return message.includes('call stack') ? 'it is nested too deeply' : message;
}

/** A carriage return alone ends a line too, to kubectl but not to the package. Positions stay as they are. */
function normalizeBreaks(text: string): string {
  return text.includes('\r') ? text.replace(/\r(?!\n)/g, '\n') : text;
}

/** A tree in which every plain value is a string. */
export function parseSpelling(text: string): Document.Parsed {
  return parseDocument(normalizeBreaks(text), { schema: 'failsafe', uniqueKeys: false, prettyErrors: false });
}

/** The first key that stands twice in its mapping: to edit one of the two would be a guess. */
export function findDuplicateKey(tree: Document): Flaw | undefined {
  let flaw: Flaw | undefined;
  visit(tree, {
    Map(_key, map) {
      const known = new Set<string>();
      for (const pair of map.items) {
        if (isMergeKey(pair) || !isScalar(pair.key)) continue;
        const name = String(pair.key.value);
        if (known.has(name)) {
          flaw ??= { message: `key ${JSON.stringify(name)} stands twice`, position: pair.key.range?.[0] ?? 0 };
        }
        known.add(name);
      }
      return flaw === undefined ? undefined : visit.BREAK;
    },
  });
  return flaw;
}

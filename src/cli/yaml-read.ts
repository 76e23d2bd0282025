/** Reads YAML values. */
import { type Document, isMap, isScalar, parseDocument, visit } from 'yaml';
import { describeError } from '../errors.js';
import { type AliasBudget, buildValue, isMergeKey, MAX_ALIAS_VALUES, NoValueError } from './yaml-values.js';

export interface Reading {
  readonly value?: unknown;
  readonly error?: Flaw;
}

interface Flaw {
  readonly message: string;
  /** Character of the text. */
  readonly position: number;
}

/** Reads one document as Kubernetes' tools do: YAML 1.1, where `0644` is 420 and `yes` is true, without dates and times. */
export function readYaml(text: string, budget: AliasBudget = { remaining: MAX_ALIAS_VALUES }): Reading {
  try {
    const tree = parseDocument(normalizeBreaks(text), {
      version: '1.1',
      prettyErrors: false,
      // The package's own test compares each key with all before it.
      uniqueKeys: false,
      customTags: (tags) =>
        tags.filter((tag) => typeof tag === 'string' || (!tag.tag.endsWith(':timestamp') && tag.format !== 'TIME')),
    });
    const [error] = tree.errors;
    if (error !== undefined) return { error: { message: error.message, position: error.pos[0] } };
    return { value: buildValue(tree, budget) ?? undefined };
  } catch (failure) {
    return { error: explainFailure(failure) };
  }
}

function explainFailure(failure: unknown): Flaw {
  if (failure instanceof NoValueError) return failure;
  const isDepth = failure instanceof RangeError;
  return { message: isDepth ? 'it is nested too deeply' : describeError(failure), position: 0 };
}

/** A carriage return alone ends a line too, to kubectl but not to the package. Positions stay as they are. */
function normalizeBreaks(text: string): string {
  return text.replace(/\r(?!\n)/g, '\n');
}

/** The first key that stands twice in its mapping: to edit one of the two would be a guess. */
export function findDuplicateKey(text: string): Flaw | undefined {
  const tree: Document = parseDocument(normalizeBreaks(text), {
    schema: 'failsafe',
    uniqueKeys: false,
    prettyErrors: false,
  });
  let flaw: Flaw | undefined;
  visit(tree, {
    Map(_key, map) {
      const known = new Set<string>();
      for (const pair of map.items) {
        if (isMergeKey(pair) || !isScalar(pair.key)) continue;
        const name = String(pair.key.value);
        if (known.has(name))
          flaw ??= { message: `key ${JSON.stringify(name)} stands twice`, position: pair.key.range?.[0] ?? 0 };
        known.add(name);
      }
      return flaw === undefined || !isMap(map) ? undefined : visit.BREAK;
    },
  });
  return flaw;
}

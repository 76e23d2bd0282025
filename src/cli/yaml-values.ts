/**
 * The value of a YAML tree as Kubernetes' tools see it: JSON, in which each use of an anchor is a value of its own. One
 * walk in the order of the document, so that the time grows with the size of the value only.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Pair,
  Scalar,
  type YAMLMap,
} from 'yaml';

/**
 * How many values aliases may add to a file. kubectl takes up to 1.2 million in a document, depending on its size
 * (go.yaml.in/yaml/v2, `allowedAliasRatio`).
 */
export const MAX_ALIAS_VALUES = 1_000_000;

/** What the aliases of a file may still add. */
export interface AliasBudget {
  remaining: number;
}

/** A tree has no value; `position` is a character of its text. */
export class NoValueError extends Error {
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

/**
 * Builds the value of a document.
 * @throws NoValueError for an alias without an anchor before it, or where aliases add too many values.
 */
export function buildValue(tree: Document, budget: AliasBudget): unknown {
  return new ValueBuilder(budget).build(tree.contents);
}

/** A merge key (`<<`), whose value's keys are added to the mapping. */
export function isMergeKey({ key }: Pair): boolean {
  return isScalar(key) && key.source === '<<' && key.type === Scalar.PLAIN;
}

class ValueBuilder {
  readonly #budget: AliasBudget;
  /** The latest value of each anchor. */
  readonly #anchors = new Map<string, unknown>();

  constructor(budget: AliasBudget) {
    this.#budget = budget;
  }

  build(node: unknown): unknown {
    if (isAlias(node)) return this.#follow(node);
    const value = this.#buildOwn(node);
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) {
      this.#anchors.set(node.anchor, value);
    }
    return value;
  }

  #buildOwn(node: unknown): unknown {
    if (isMap(node)) return this.#buildMap(node);
    if (isSeq(node)) return node.items.map((item) => this.build(item));
    if (isPair(node)) return this.#addPair({}, node);
    return isScalar(node) ? readScalar(node.value) : null;
  }

  #buildMap({ items }: YAMLMap): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    const merged: unknown[] = [];
    for (const pair of items) {
      if (isMergeKey(pair)) merged.push(this.build(pair.value));
      else this.#addPair(result, pair);
    }
    // The map's own keys win, then the first of several sources.
    for (const source of merged.flat()) {
      for (const [key, value] of Object.entries(source ?? {})) {
        if (!Object.hasOwn(result, key)) setOwn(result, key, value);
      }
    }
    return result;
  }

  #addPair(result: Record<string, unknown>, { key, value }: Pair): Record<string, unknown> {
    const name = this.build(key);
    setOwn(result, typeof name === 'string' ? name : JSON.stringify(name), this.build(value));
    return result;
  }

  #follow(alias: Alias): unknown {
    if (!this.#anchors.has(alias.source)) {
      throw new NoValueError(`alias *${alias.source} has no anchor &${alias.source} before it`, alias.range?.[0] ?? 0);
    }
    return this.#copy(this.#anchors.get(alias.source), alias);
  }

  #copy(value: unknown, alias: Alias): unknown {
    if (--this.#budget.remaining < 0) {
      const clause = `aliases add more than ${MAX_ALIAS_VALUES} values to the file; write out what they stand for`;
      throw new NoValueError(`at *${alias.source}, ${clause}`, alias.range?.[0] ?? 0);
    }
    if (Array.isArray(value)) return value.map((item) => this.#copy(item, alias));
    if (typeof value !== 'object' || value === null) return value;
    const copy: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) setOwn(copy, key, this.#copy(item, alias));
    return copy;
  }
}

function readScalar(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value + 0 : null;
  if (typeof value === 'symbol') return value.description;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  return value;
}

function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

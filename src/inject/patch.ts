/**
 * Writes RFC 6902 by hand for raw JSON: lists and maps are edited item by item, and only our own items are replaced or
 * removed. An absent list or map is created in one operation, since `add` to a missing parent is an error. PURE.
 */
import type { Texts } from './pod-shape.js';

export type Operation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** A JSON pointer (RFC 6901) of the given segments. */
export function joinPointer(...segments: readonly (string | number)[]): string {
  return segments.map((segment) => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** An empty list or map, or null, to which injection added its items; `uninject` puts it back. */
export type Empty = null | readonly [] | Readonly<Record<string, never>>;

/** What all edits have in common. */
export interface Edit {
  /** JSON pointer of the list or map. */
  readonly path: string;
  /** Its JSON pointer before any pass of ours. */
  readonly formerPath: string;
  readonly formerlyEmpty: Empty | undefined;
  /** @param former what was there before any pass of ours; a list or map that loses its last item becomes that again. */
  finish(former?: Empty): readonly Operation[];
}

/** Limit of operations on one list: each costs an API server a pass over the list. */
const MAX_OPERATIONS = 256;
/** A list may have so many operations however short it is: a first pass adds five volumes, and less to other lists. */
const MIN_OPERATIONS = 5;

/** Edits of one list; `items` is the list after the edits so far. */
export class ListEdit<T> implements Edit {
  readonly path: string;
  readonly formerPath: string;
  #items: T[];
  readonly #existing: readonly T[] | null | undefined;
  readonly #operations: Operation[] = [];

  readonly #mayBeWhole: boolean;

  /** @param mayBeWhole false where other edits of the same patch change items of the list: written whole, it would undo them. */
  constructor(path: string, existing: readonly T[] | null | undefined, formerPath = path, mayBeWhole = true) {
    this.path = path;
    this.formerPath = formerPath;
    this.#existing = existing;
    this.#mayBeWhole = mayBeWhole;
    this.#items = [...(existing ?? [])];
  }

  get items(): readonly T[] {
    return this.#items;
  }

  append(item: T): void {
    this.#items.push(item);
    this.#record({ op: 'add', path: `${this.path}/-`, value: item });
  }

  prepend(item: T): void {
    this.#items.unshift(item);
    this.#record({ op: 'add', path: `${this.path}/0`, value: item });
  }

  replace(index: number, item: T): void {
    this.#items[index] = item;
    this.#record({ op: 'replace', path: `${this.path}/${index}`, value: item });
  }

  /** Changes one field of an item, and nothing else in it. */
  replaceField<K extends keyof T & string>(index: number, field: K, value: T[K]): void {
    const item = this.items[index];
    if (item === undefined) return;
    this.#items[index] = { ...item, [field]: value };
    this.#record({ op: 'replace', path: `${this.path}/${index}/${field}`, value });
  }

  /**
   * Adds our item at the end, or replaces it where it differs. Where it appears more than once the first stays; all other
   * items keep their places.
   */
  put(isOurs: (item: T) => boolean, wanted: T, isSame: (existing: T, wanted: T) => boolean): void {
    const index = this.items.findIndex(isOurs);
    const existing = this.items[index];
    if (existing === undefined) this.append(wanted);
    else if (!isSame(existing, wanted)) this.replace(index, wanted);
    if (existing !== undefined) this.removeAll((item, at) => at > index && isOurs(item));
  }

  /** Asks once for each item, from the last to the first: all is one pass over the list. */
  removeAll(isOurs: (item: T, index: number) => boolean): void {
    const kept: T[] = [];
    for (let index = this.items.length - 1; index >= 0; index--) {
      const item = this.items[index] as T;
      if (isOurs(item, index)) this.#record({ op: 'remove', path: `${this.path}/${index}` });
      else kept.push(item);
    }
    if (kept.length < this.items.length) this.#items = kept.reverse();
  }

  /** More operations than an honest list needs are not kept: the list is then written as a whole. */
  #record(operation: Operation): void {
    if (!this.#mayBeWhole || this.#operations.length <= MAX_OPERATIONS) this.#operations.push(operation);
  }

  /** Whether the list as a whole costs less than the operations on it. */
  get #isWholeCheaper(): boolean {
    const limit = Math.max(MIN_OPERATIONS, this.items.length / 2);
    return this.#mayBeWhole && this.#operations.length > Math.min(MAX_OPERATIONS, limit);
  }

  /** What was there before, if it was empty and now has items. */
  get formerlyEmpty(): Empty | undefined {
    if (this.items.length === 0 || this.#existing === undefined) return undefined;
    return this.#existing === null ? null : this.#existing.length === 0 ? [] : undefined;
  }

  finish(former?: Empty): readonly Operation[] {
    if (this.#operations.length === 0) return [];
    if (this.items.length === 0) return [restoreEmpty(this.path, former)];
    if (!Array.isArray(this.#existing)) return [{ op: 'add', path: this.path, value: this.items }];
    return this.#isWholeCheaper ? [{ op: 'replace', path: this.path, value: this.items }] : this.#operations;
  }
}

function restoreEmpty(path: string, former: Empty | undefined): Operation {
  return former === undefined ? { op: 'remove', path } : { op: 'replace', path, value: former };
}

/** Edits of one map of texts. */
export class MapEdit implements Edit {
  readonly path: string;
  readonly formerPath: string;
  readonly #existing: Texts | null | undefined;
  readonly #operations: Operation[] = [];
  readonly #created: Record<string, string> = {};
  #size: number;

  constructor(path: string, existing: Texts | null | undefined) {
    this.path = path;
    this.formerPath = path;
    this.#existing = existing;
    this.#size = Object.keys(existing ?? {}).length;
  }

  /** Sets one key; `undefined` removes it. */
  set(key: string, value: string | undefined): void {
    const path = `${this.path}${joinPointer(key)}`;
    const before = this.#existing?.[key];
    if (value === before) return;
    if (value === undefined) {
      this.#size--;
      this.#operations.push({ op: 'remove', path });
      return;
    }
    this.#created[key] = value;
    if (before === undefined) this.#size++;
    this.#operations.push({ op: before === undefined ? 'add' : 'replace', path, value });
  }

  /** What was there before, if it was empty. */
  get formerlyEmpty(): Empty | undefined {
    if (this.#existing === undefined) return undefined;
    return this.#existing === null ? null : Object.keys(this.#existing).length === 0 ? {} : undefined;
  }

  finish(former?: Empty): readonly Operation[] {
    if (this.#operations.length === 0) return [];
    if (this.#size === 0) return [restoreEmpty(this.path, former)];
    const exists = this.#existing !== undefined && this.#existing !== null;
    return exists ? this.#operations : [{ op: 'add', path: this.path, value: this.#created }];
  }
}

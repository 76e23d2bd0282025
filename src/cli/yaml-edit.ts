/**
 * Edits YAML in its syntax tree, in which every plain value is a string. So comments, the order of keys and the spelling of
 * values (`0644`, `1e3`, `yes`) are kept.
 */
import {
  Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  Scalar,
  visit,
  type YAMLMap,
} from 'yaml';
import { type Operation, splitPointer } from '../inject/index.js';
import { readYaml } from './yaml-read.js';

/** Applies the operations to the text of one document. Aliases and merge keys are written out. */
export function editYaml(text: string, operations: readonly Operation[]): string {
  const tree = parseDocument(text, { schema: 'failsafe' });
  if (/[*&]|<</.test(text)) writeOutAliases(tree);
  for (const operation of operations) editTree(tree, operation);
  const indentSeq = !/^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n\1- /m.test(text);
  const edited = tree.toString({ lineWidth: 0, indentSeq, flowCollectionPadding: !/[{[]\w/.test(text) });
  return text.includes('\r\n') ? edited.replaceAll('\n', '\r\n') : edited;
}

function editTree(tree: Document, operation: Operation): void {
  const segments = splitPointer(operation.path);
  const last = segments.pop() ?? '';
  const parent = tree.getIn(segments, true);
  const value = operation.op === 'remove' ? undefined : createNode(operation.value);
  if (isSeq(parent)) {
    const index = last === '-' ? parent.items.length : Number(last);
    if (value === undefined) parent.items.splice(index, 1);
    else parent.items.splice(index, operation.op === 'add' ? 0 : 1, value);
    // An empty list is written in brackets; with an item it need not be.
    if (operation.op === 'add' && parent.items.length === 1) parent.flow = false;
  } else if (isMap(parent)) {
    if (value === undefined) parent.delete(last);
    else setKey(parent, last, value);
  } else {
    throw new Error(`there is no list or mapping for ${operation.path}`);
  }
}

function setKey(map: YAMLMap, key: string, value: Node): void {
  const existing = map.get(key, true);
  if (isScalar(existing) && isScalar(value)) {
    existing.value = value.value;
    return;
  }
  map.set(key, value);
  if (map.items.length === 1) map.flow = false;
}

/** Quotes strings that YAML would read as another type; numbers, true, false and null stay plain. */
function createNode(value: unknown): Node {
  const node: Node = new Document().createNode(value);
  visit(node, {
    Scalar(_key, scalar) {
      if (typeof scalar.value !== 'string') scalar.value = JSON.stringify(scalar.value);
      else if (!scalar.value.includes('\n') && readYaml(scalar.value).value !== scalar.value) {
        scalar.type = Scalar.QUOTE_DOUBLE;
      }
    },
    Collection(_key, collection) {
      if (collection.items.length === 0) collection.flow = true;
    },
  });
  return node;
}

/** Replaces each alias by a copy of its node, so that an edit changes one place only. */
function writeOutAliases(tree: Document): void {
  expand(tree.contents, tree);
  visit(tree, {
    Node(_key, node) {
      if ('anchor' in node) delete node.anchor;
    },
  });
}

function expand(node: unknown, tree: Document): void {
  if (isSeq(node)) {
    node.items = node.items.map((item) => follow(item, tree));
    for (const item of node.items) expand(item, tree);
  } else if (isMap(node)) {
    node.items = node.items.flatMap((pair) => (isMergeKey(pair) ? listMerged(pair, node, tree) : [pair]));
    for (const pair of node.items) {
      pair.value = follow(pair.value, tree);
      expand(pair.value, tree);
    }
  }
}

/** A copy of an alias's node; any other value unchanged. */
function follow(value: unknown, tree: Document): unknown {
  if (!isAlias(value)) return value;
  const copy = follow(value.resolve(tree), tree) as Node | undefined;
  const own = copy?.clone() as Node | undefined;
  if (own !== undefined) own.comment ??= value.comment ?? null;
  return own;
}

function isMergeKey({ key }: Pair): boolean {
  return isScalar(key) && key.value === '<<' && key.type === Scalar.PLAIN;
}

/** The pairs that a merge key adds: those that the map does not have. The first of several sources wins. */
function listMerged(merge: Pair, map: YAMLMap, tree: Document): Pair[] {
  const value = follow(merge.value, tree);
  const sources = isSeq(value) ? value.items.map((item) => follow(item, tree)) : [value];
  const taken = new Set(map.items.filter((pair) => pair !== merge).map(({ key }) => String(key)));
  return sources.filter(isMap).flatMap((source) => {
    expand(source, tree);
    const pairs = source.items.filter(({ key }) => !taken.has(String(key)));
    for (const { key } of pairs) taken.add(String(key));
    return pairs;
  });
}

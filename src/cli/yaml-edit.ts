/**
 * Edits YAML in its syntax tree, in which every plain value is a string. So comments, the order of keys and the spelling of
 * values (`0644`, `1e3`, `yes`) are kept.
 */
import { Document, isMap, isScalar, isSeq, type Node, Scalar, visit, type YAMLMap, type YAMLSeq } from 'yaml';
import { type Operation, splitPointer } from '../inject/index.js';
import { writeOutAliases } from './yaml-aliases.js';
import { leaveComments, listComments, putBefore, takeCommentsBelow } from './yaml-comments.js';
import { prepareQuoteTest } from './yaml-read.js';

/**
 * Applies the operations to a tree of `parseSpelling`, and writes it like the text that it was read from. Aliases and merge
 * keys are written out.
 */
export function editTree(tree: Document, text: string, operations: readonly Operation[]): string {
  if (/[*&]|<</.test(text)) writeOutAliases(tree);
  const createNode = prepareCreation();
  for (const operation of operations) editNode(tree, operation, createNode);
  const flowCollectionPadding = !/[{[]\w/.test(text);
  const edited = tree.toString({ lineWidth: 0, indentSeq: !hasListAtKeysIndent(text), flowCollectionPadding });
  return text.includes('\r\n') ? edited.replace(/\r?\n/g, '\r\n') : edited;
}

/** Whether a line that ends with a key is followed by a list item of the same indentation. */
function hasListAtKeysIndent(text: string): boolean {
  let keyIndent = -1;
  for (const line of text.split('\n')) {
    const indent = line.search(/[^ ]/);
    if (indent !== -1 && indent === keyIndent && line.startsWith('- ', indent)) return true;
    const endsWithKey = /:[ \t]*\r?$/.test(line.slice(-80)) || /:[ \t]+#/.test(line.slice(0, 200));
    keyIndent = endsWithKey && !/[#-]/.test(line.charAt(indent)) ? indent : -1;
  }
  return false;
}

type NodeFactory = (value: unknown) => Node;

function editNode(tree: Document, operation: Operation, createNode: NodeFactory): void {
  const segments = splitPointer(operation.path);
  const last = segments.pop() ?? '';
  const parent = tree.getIn(segments, true);
  const value = operation.op === 'remove' ? undefined : createNode(operation.value);
  if (isSeq(parent)) editList(parent, last === '-' ? parent.items.length : Number(last), value, operation.op);
  else if (isMap(parent)) editMap(parent, last, value);
  else throw new Error(`there is no list or mapping for ${operation.path}`);
}

function editList(list: YAMLSeq, index: number, value: Node | undefined, op: Operation['op']): void {
  const comments = op === 'add' ? undefined : listComments(list.items[index]);
  if (value === undefined) {
    list.items.splice(index, 1);
    leaveComments(list, index, comments);
    return;
  }
  putBefore(value, comments);
  list.items.splice(index, op === 'add' ? 0 : 1, value);
  // An empty list is written in brackets; with an item it need not be.
  if (op === 'add' && list.items.length === 1) list.flow = false;
}

function editMap(map: YAMLMap, key: string, value: Node | undefined): void {
  const index = map.items.findIndex((pair) => isScalar(pair.key) && pair.key.value === key);
  const pair = map.items[index];
  if (value === undefined) {
    map.items.splice(index, index === -1 ? 0 : 1);
    leaveComments(map, index, listComments(pair));
  } else if (pair === undefined) {
    map.set(key, value);
    if (map.items.length === 1) map.flow = false;
  } else if (isScalar(pair.value) && isScalar(value)) {
    pair.value.value = value.value;
  } else {
    putBefore(value, isScalar(pair.value) ? takeCommentsBelow(map, index) : listComments(pair.value));
    pair.value = value;
  }
}

/** Quotes strings that YAML would read as another type; numbers, true, false and null stay plain. */
function prepareCreation(): NodeFactory {
  const factory = new Document();
  const needsQuotes = prepareQuoteTest();
  return (value) => {
    const node: Node = factory.createNode(value);
    visit(node, {
      Scalar(_key, scalar) {
        if (typeof scalar.value !== 'string') scalar.value = JSON.stringify(scalar.value);
        else if (!scalar.value.includes('\n') && needsQuotes(scalar.value)) scalar.type = Scalar.QUOTE_DOUBLE;
      },
      Collection(_key, collection) {
        if (collection.items.length === 0) collection.flow = true;
      },
    });
    return node;
  };
}

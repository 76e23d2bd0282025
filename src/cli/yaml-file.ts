/** A file of YAML or JSON documents: documents without an edit are written byte for byte as they were read. */
import { isDeepStrictEqual } from 'node:util';
import { stringify } from 'yaml';
import { ProductError } from '../errors.js';
import { applyOperations, type Operation } from '../inject/index.js';
import { findStrayByte } from './encoding.js';
import { hasLongNumber, splitJsonObjects } from './json-stream.js';
import { findLostComments } from './yaml-comments.js';
import { editTree } from './yaml-edit.js';
import { findDuplicateKey, type Flaw, parseSpelling, readYaml } from './yaml-read.js';
import { MAX_ALIAS_VALUES } from './yaml-values.js';

/** One document of a file. */
export interface FileDocument {
  /** From this document's start to the next one's. */
  readonly text: string;
  /** The value; `undefined` for a document with comments only. */
  readonly value: unknown;
  readonly isJson: boolean;
  /** The file and the document's number, for messages. */
  readonly place: string;
  /** Number of lines of the file before this document. */
  readonly linesBefore: number;
}

const START = /^---(?:[ \t\r\n]|$)/;

/**
 * Reads a file.
 * @param name of the file, for errors.
 * @throws ProductError `document`, with the document's number and the line.
 */
export function readDocuments(text: string, name: string): FileDocument[] {
  const documents: FileDocument[] = [];
  const budget = { remaining: MAX_ALIAS_VALUES };
  let linesBefore = 0;
  const add = (part: string, read: (document: Omit<FileDocument, 'value'>) => unknown, isJson: boolean): void => {
    const document = { text: part, isJson, place: `${name}: document ${documents.length + 1}`, linesBefore };
    documents.push({ ...document, value: read(document) });
    linesBefore += countBreaks(part);
  };
  for (const part of splitDocuments(text)) {
    const objects = splitJsonObjects(part);
    for (const object of objects ?? []) add(object, () => JSON.parse(object) as unknown, true);
    if (objects !== undefined) continue;
    const read = (document: Omit<FileDocument, 'value'>): unknown => {
      const { value, error } = readYaml(part, budget);
      if (error !== undefined) throw refuseDocument(document, error);
      return value;
    };
    add(part, read, false);
  }
  return documents;
}

function refuseDocument(
  { text, place, linesBefore }: Omit<FileDocument, 'value'>,
  { message, position }: Flaw,
): ProductError {
  const line = linesBefore + countBreaks(text.slice(0, position)) + 1;
  return new ProductError('document', `${place}, line ${line}: ${message}`);
}

function countBreaks(text: string): number {
  return text.split('\n').length - 1;
}

/** A line that begins with `---` always starts a document, even inside a block scalar (YAML 1.2.2, 9.1.2). */
function splitDocuments(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (const { index } of text.matchAll(/(?<![^\n])---(?=[ \t\r\n]|$)/g)) {
    const part = text.slice(start, index);
    if (part === '' || isOnlyDirectives(part)) continue;
    parts.push(part);
    start = index;
  }
  return start === text.length ? parts : [...parts, text.slice(start)];
}

function isOnlyDirectives(text: string): boolean {
  return /^%/m.test(text) && /^(?:[%#].*\n|[ \t\r]*\n)*$/.test(text);
}

export interface EditedDocument {
  readonly text: string;
  /** What was not kept, if anything. */
  readonly note?: string;
}

/**
 * Applies the operations.
 * @throws ProductError `document` where the result would be a guess: a key that stands twice, or bytes that are no UTF-8.
 */
export function editDocument(document: FileDocument, operations: readonly Operation[]): EditedDocument {
  const { text } = document;
  const tree = parseSpelling(text);
  const duplicate = findDuplicateKey(tree);
  if (duplicate !== undefined) {
    const message = `${duplicate.message}; remove one of them first`;
    throw refuseDocument(document, { message, position: duplicate.position });
  }
  refuseStrayBytes(document);
  const wanted = applyOperations(document.value, operations);
  if (document.isJson && !hasLongNumber(text)) return { text: writeJson(text, wanted) };
  try {
    const edited = editTree(tree, text, operations);
    if (isDeepStrictEqual(readYaml(edited).value, wanted)) return noteLostComments(document, edited);
  } catch {
    // The tree can't be edited like this: the document is written out below.
  }
  const start = START.test(text) ? '---\n' : '';
  return {
    text: start + stringify(wanted, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false }),
    note: `${document.place} could not be edited in place; it is written out in full, without its comments`,
  };
}

/** A byte that is not UTF-8 may stand in comments; what the API server is sent can't have it. */
function refuseStrayBytes(document: FileDocument): void {
  const stray = findStrayByte(document.text);
  // JSON.stringify writes lone surrogates as escapes.
  if (stray === undefined || !/(?<!\\)\\udc[89a-f]/.test(JSON.stringify(document.value))) return;
  const message = `a value has the byte ${stray}, which is not UTF-8; save the file as UTF-8`;
  throw refuseDocument(document, { message, position: document.text.search(/[\uDC80-\uDCFF]/u) });
}

function noteLostComments({ text, place }: FileDocument, edited: string): EditedDocument {
  const [lost, ...others] = findLostComments(text, edited);
  if (lost === undefined) return { text: edited };
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return { text: edited, note: `${place} lost the comment ${JSON.stringify(lost)}${more}` };
}

function writeJson(text: string, wanted: unknown): string {
  const indent = /^\s*\{\s*\n(\s+)/.exec(text)?.[1] ?? '';
  const [before = ''] = /^\s*/.exec(text) ?? [];
  const after = text.slice(text.trimEnd().length);
  const edited = JSON.stringify(wanted, null, indent);
  return before + (text.includes('\r\n') ? edited.replaceAll('\n', '\r\n') : edited) + after;
}

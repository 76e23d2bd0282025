/** A file of YAML or JSON documents: documents without an edit are written byte for byte as they were read. */
import { isDeepStrictEqual } from 'node:util';
import { stringify } from 'yaml';
import { ProductError } from '../errors.js';
import { applyOperations, type Operation } from '../inject/index.js';
import { editYaml } from './yaml-edit.js';
import { readYaml } from './yaml-read.js';

/** One document of a file. */
export interface FileDocument {
  /** From this document's start to the next one's. */
  readonly text: string;
  /** The value; `undefined` for a document with comments only. */
  readonly value: unknown;
}

const START = /^---(?:\s|$)/;

/**
 * Reads a file.
 * @param name of the file, for errors.
 * @throws ProductError `document`, with the document's number and the line.
 */
export function readDocuments(text: string, name: string): FileDocument[] {
  const documents: FileDocument[] = [];
  let linesBefore = 0;
  for (const part of splitDocuments(text)) {
    const place = `${name}: document ${documents.length + 1}`;
    const { value, error } = readYaml(part);
    if (error !== undefined) {
      const line = linesBefore + part.slice(0, error.position).split('\n').length;
      throw new ProductError('document', `${place}, line ${line}: ${error.message}`);
    }
    documents.push({ text: part, value });
    linesBefore += part.split('\n').length - 1;
  }
  return documents;
}

/** A line that begins with `---` always starts a document, even inside a block scalar (YAML 1.2.2, 9.1.2). */
function splitDocuments(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const onlyDirectives = /^%/m.test(part) && /^(?:[%#].*\n|\s*\n)*$/.test(part);
    if (START.test(line) && part !== '' && !onlyDirectives) {
      parts.push(part);
      part = '';
    }
    part += line;
  }
  return part === '' ? parts : [...parts, part];
}

/** Applies the operations; `kept` says whether comments and spelling are kept. */
export function editDocument(
  document: FileDocument,
  operations: readonly Operation[],
): { text: string; kept: boolean } {
  const wanted = applyOperations(document.value, operations);
  if (isPlainJson(document.text)) {
    const indent = /^\s*\{\s*\n(\s+)/.exec(document.text)?.[1] ?? '';
    return { text: JSON.stringify(wanted, null, indent) + (document.text.endsWith('\n') ? '\n' : ''), kept: true };
  }
  try {
    const text = editYaml(document.text, operations);
    if (isDeepStrictEqual(readYaml(text).value, wanted)) return { text, kept: true };
  } catch {
    // The tree can't be edited like this: the document is written out below.
  }
  const start = START.test(document.text) ? '---\n' : '';
  return { text: start + stringify(wanted, { version: '1.1', lineWidth: 0 }), kept: false };
}

/** Whether it is JSON whose numbers don't change when they are parsed and written. */
function isPlainJson(text: string): boolean {
  if (!/^\s*\{/.test(text) || /\d{16}|\d[eE.]\d/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, ''))) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

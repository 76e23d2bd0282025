/** Reads YAML values. */
import { parseDocument } from 'yaml';
import { describeError } from '../errors.js';

export interface Reading {
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly position: number };
}

/** Reads one document as Kubernetes' tools do: YAML 1.1, in which `0644` is 420 and `yes` is true, but no dates or times. */
export function readYaml(text: string): Reading {
  const document = parseDocument(text, {
    version: '1.1',
    prettyErrors: false,
    customTags: (tags) =>
      tags.filter((tag) => typeof tag === 'string' || (!tag.tag.endsWith(':timestamp') && tag.format !== 'TIME')),
  });
  const [error] = document.errors;
  if (error !== undefined) return { error: { message: error.message, position: error.pos[0] } };
  try {
    const value: unknown = document.toJS();
    // Aliases share objects; here each place is one of its own.
    return {
      value: value === null || value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown),
    };
  } catch (failure) {
    return { error: { message: describeError(failure), position: 0 } };
  }
}

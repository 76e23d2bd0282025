/** Reads YAML values. */
import { parseDocument } from 'yaml';
import { describeError } from '../errors.js';

export interface Reading {
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly position: number };
}

/** Reads one document as Kubernetes' tools do: YAML 1.1, where `0644` is 420 and `yes` is true, without dates and times. */
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
    // Aliases share objects; the copy has an object for each.
    return {
      value: value === null || value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown),
    };
  } catch (failure) {
    return { error: { message: describeError(failure), position: 0 } };
  }
}

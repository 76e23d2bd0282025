/** Comments in a syntax tree: what an edit takes away must leave its comments behind. */
import { isNode, isPair, Lexer, type Node, visit, type YAMLMap, type YAMLSeq } from 'yaml';

/** All comments of a node or pair and what is below it, one a line; `undefined` where there is none. */
export function listComments(node: unknown): string | undefined {
  const comments: string[] = [];
  const add = (_key: unknown, { commentBefore, comment }: Node): void => {
    for (const text of [commentBefore, comment]) if (typeof text === 'string') comments.push(text);
  };
  if (isPair(node)) return joinComments(listComments(node.key), listComments(node.value));
  if (isNode(node)) visit(node, { Node: add });
  return comments.length === 0 ? undefined : comments.join('\n');
}

/** Puts comments before a node. */
export function putBefore(node: Node, comments: string | undefined): void {
  const joined = joinComments(comments, node.commentBefore ?? undefined);
  if (joined !== undefined) node.commentBefore = joined;
}

/** Leaves the comments of an item that was taken out at its place: before the next item, or at the end. */
export function leaveComments(parent: YAMLMap | YAMLSeq, index: number, comments: string | undefined): void {
  if (comments === undefined) return;
  const next: unknown = parent.items[index];
  const node = isPair(next) ? next.key : next;
  if (isNode(node)) putBefore(node, comments);
  else parent.comment = joinComments(comments, parent.comment ?? undefined) ?? null;
}

/**
 * The comments below a key without a value. The parser gives the first line to the empty value, and the lines that are
 * not indented like it to the next key, up to a blank line.
 */
export function takeCommentsBelow(map: YAMLMap, index: number): string | undefined {
  const own = listComments(map.items[index]?.value);
  const next = map.items[index + 1]?.key;
  if (own === undefined || !isNode(next) || typeof next.commentBefore !== 'string') return own;
  const [first = '', ...others] = next.commentBefore.split('\n\n');
  next.commentBefore = others.length === 0 ? null : others.join('\n\n');
  next.spaceBefore = others.length > 0;
  return joinComments(own, first);
}

function joinComments(first: string | undefined, second: string | undefined): string | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return `${first}\n${second}`;
}

/** The comments of one text that another does not have. */
export function findLostComments(before: string, after: string): string[] {
  if (!before.includes('#')) return [];
  const counts = new Map<string, number>();
  for (const comment of readComments(after)) counts.set(comment, (counts.get(comment) ?? 0) + 1);
  return readComments(before).filter((comment) => {
    const count = counts.get(comment) ?? 0;
    counts.set(comment, count - 1);
    return count <= 0;
  });
}

function readComments(text: string): string[] {
  const comments: string[] = [];
  for (const token of new Lexer().lex(text)) if (token.startsWith('#')) comments.push(token.trimEnd());
  return comments;
}

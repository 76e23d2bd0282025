/** Writes out aliases and merge keys in a syntax tree, so that an edit changes one place only. */
import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml';
import { isMergeKey } from './yaml-values.js';

/**
 * Replaces each alias by a copy of its node, in one walk in the order of the document. The value of the document must
 * have been built before: this bounds the copies.
 */
export function writeOutAliases(tree: Document): void {
  tree.contents = expand(tree.contents, new Map());
}

/** The latest node of each anchor, already without aliases. */
type Anchors = Map<string, Node>;

function expand<T>(node: T, anchors: Anchors): T {
  if (isAlias(node)) return copy(anchors.get(node.source), node.comment) as T;
  if (isSeq(node)) node.items = node.items.map((item) => expand(item, anchors));
  else if (isMap(node)) expandMap(node, anchors);
  if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) {
    anchors.set(node.anchor, node);
    delete node.anchor;
  }
  return node;
}

function copy(node: Node | undefined, comment: string | null | undefined): Node | undefined {
  const own = node?.clone() as Node | undefined;
  if (own !== undefined) own.comment ??= comment ?? null;
  return own;
}

function expandMap(map: YAMLMap, anchors: Anchors): void {
  for (const pair of map.items) {
    pair.key = expand(pair.key, anchors);
    pair.value = expand(pair.value, anchors);
  }
  if (!map.items.some(isMergeKey)) return;
  const taken = new Set(map.items.filter((pair) => !isMergeKey(pair)).map(({ key }) => String(key)));
  map.items = map.items.flatMap((pair) => (isMergeKey(pair) ? listMerged(pair, taken) : [pair]));
}

/** The pairs that a merge key adds: those that are not taken yet. The first of several sources wins. */
function listMerged({ value }: Pair, taken: Set<string>): Pair[] {
  const sources = isSeq(value) ? value.items : [value];
  return sources.filter(isMap).flatMap((source) => {
    const pairs = source.items.filter(({ key }) => !taken.has(String(key)));
    for (const { key } of pairs) taken.add(String(key));
    return pairs.map((pair) => pair.clone());
  });
}

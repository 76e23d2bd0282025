/**
 * The cluster's service accounts in memory: of each, only the annotations that injection reads. Whoever may write service
 * accounts must not fill the memory: what does not fit is not kept, and its pods cost a live read.
 */
import { keepAnnotations } from '../inject/index.js';

export type Annotations = Readonly<Record<string, string>>;

/** The parts of a `v1` ServiceAccount that are read. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Annotations;
}

/** Service accounts that were just read, all of them or one after the other. */
export interface ServiceAccountStore {
  /** @returns false where there was no room for all: this account, or others, are then forgotten. */
  set(account: ServiceAccount): boolean;
}

export interface ServiceAccountCache extends ServiceAccountStore {
  get(namespace: string, name: string): Annotations | undefined;
  /** Whether it has a service account there. */
  hasNamespace(namespace: string): boolean;
  delete(account: Pick<ServiceAccount, 'namespace' | 'name'>): void;
  /** A whole new content, which is used once it is committed. */
  startReplacement(): ServiceAccountStore & { commit(): void };
  readonly size: number;
}

/**
 * Limit of what is kept, in characters of names and values, with {@link ENTRY_COST} for each account. One with an identity counts
 * as about 300: room for more than 25,000 of them, and for 60,000 without annotations.
 */
const MAX_COST = 8 * 1024 * 1024;

/** What an account takes beside its texts: an entry of a map, its strings' heads, an object. */
const ENTRY_COST = 120;
/** The same of an annotation whose name is known: its name is shared by all accounts. */
const ANNOTATION_COST = 24;
/** The same of one that is not known, which is kept without its value: its name makes a hidden class of its own. */
const UNKNOWN_ANNOTATION_COST = 250;

export function createServiceAccountCache(maxCost = MAX_COST): ServiceAccountCache {
  let content = createContent(maxCost);
  return {
    get: (namespace, name) => content.get(namespace, name),
    hasNamespace: (namespace) => content.hasNamespace(namespace),
    set: (account) => content.set(account),
    delete: ({ namespace, name }) => content.delete(namespace, name),
    startReplacement: () => {
      const next = createContent(maxCost);
      return { set: next.set, commit: () => void (content = next) };
    },
    get size() {
      return content.size();
    },
  };
}

interface Namespace {
  /** By name. Most service accounts have no annotation that injection reads; these share one empty object. */
  readonly accounts: Map<string, Annotations>;
  cost: number;
}

function createContent(maxCost: number) {
  const namespaces = new Map<string, Namespace>();
  let totalCost = 0;
  let size = 0;

  const remove = (namespace: string, name: string): void => {
    const entry = namespaces.get(namespace);
    const annotations = entry?.accounts.get(name);
    if (entry === undefined || annotations === undefined) return;
    const cost = countCost(name, annotations);
    entry.accounts.delete(name);
    entry.cost -= cost;
    totalCost -= cost;
    size -= 1;
    if (entry.accounts.size === 0) namespaces.delete(namespace);
  };

  /** The namespace that takes most gives way, so that whoever fills one is in his own way only. */
  const makeRoom = (needed: number, own: number): boolean => {
    while (totalCost + needed > maxCost) {
      const [namespace, largest] = findLargest(namespaces) ?? [];
      const [oldest] = largest?.accounts.keys() ?? [];
      if (namespace === undefined || oldest === undefined || (largest?.cost ?? 0) <= own + needed) return false;
      remove(namespace, oldest);
    }
    return true;
  };

  const set = ({ namespace, name, annotations }: ServiceAccount): boolean => {
    remove(namespace, name);
    const cost = countCost(name, annotations);
    const sizeBefore = size;
    if (!makeRoom(cost, namespaces.get(namespace)?.cost ?? 0)) return false;
    const entry = namespaces.get(namespace) ?? { accounts: new Map<string, Annotations>(), cost: 0 };
    namespaces.set(namespace, entry);
    entry.accounts.set(name, annotations);
    entry.cost += cost;
    totalCost += cost;
    size += 1;
    return size > sizeBefore;
  };

  return {
    get: (namespace: string, name: string): Annotations | undefined => namespaces.get(namespace)?.accounts.get(name),
    hasNamespace: (namespace: string): boolean => namespaces.has(namespace),
    set,
    delete: remove,
    size: (): number => size,
  };
}

function findLargest(namespaces: ReadonlyMap<string, Namespace>): readonly [string, Namespace] | undefined {
  let found: readonly [string, Namespace] | undefined;
  for (const entry of namespaces) if (found === undefined || entry[1].cost > found[1].cost) found = entry;
  return found;
}

function countCost(name: string, annotations: Annotations): number {
  let cost = ENTRY_COST + name.length;
  for (const [key, value] of Object.entries(annotations)) {
    cost += value === '' ? UNKNOWN_ANNOTATION_COST + key.length : ANNOTATION_COST + value.length;
  }
  return cost;
}

/** Reads a service account as the API server writes it; `undefined` for anything else. */
export function readServiceAccount(value: unknown): ServiceAccount | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { metadata } = value as { metadata?: { namespace?: unknown; name?: unknown; annotations?: unknown } | null };
  if (typeof metadata?.namespace !== 'string' || typeof metadata.name !== 'string') return undefined;
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    annotations: keepAnnotations(metadata.annotations),
  };
}

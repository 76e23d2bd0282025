/** The cluster's service accounts in memory: of each, only the annotations that injection reads. */
import { keepAnnotations } from '../inject/index.js';

export type Annotations = Readonly<Record<string, string>>;

/** The parts of a `v1` ServiceAccount that are read. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Annotations;
}

/** By name. Most service accounts have no annotation that injection reads; these share one empty object. */
type Names = Map<string, Annotations>;

export interface ServiceAccountCache {
  get(namespace: string, name: string): Annotations | undefined;
  set(account: ServiceAccount): void;
  delete(account: ServiceAccount): void;
  /** Replaces the whole content. */
  replace(accounts: Iterable<ServiceAccount>): void;
  readonly size: number;
}

export function createServiceAccountCache(): ServiceAccountCache {
  let namespaces = new Map<string, Names>();
  let size = 0;

  const set = ({ namespace, name, annotations }: ServiceAccount): void => {
    const names: Names = namespaces.get(namespace) ?? new Map<string, Annotations>();
    namespaces.set(namespace, names);
    if (!names.has(name)) size += 1;
    names.set(name, annotations);
  };

  return {
    get: (namespace, name) => namespaces.get(namespace)?.get(name),
    set,
    delete: ({ namespace, name }) => {
      const names = namespaces.get(namespace);
      if (names?.delete(name) !== true) return;
      size -= 1;
      if (names.size === 0) namespaces.delete(namespace);
    },
    replace: (accounts) => {
      namespaces = new Map();
      size = 0;
      for (const account of accounts) set(account);
    },
    get size() {
      return size;
    },
  };
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

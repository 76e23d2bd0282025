/** What is known of the cluster's service accounts: of each only what injection reads, as compact as can be. */
import { keepAnnotations } from '../inject/index.js';

export type Annotations = Readonly<Record<string, string>>;

/** The parts of a `v1` ServiceAccount that are looked at. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Annotations;
}

/** A name maps to nothing where the service account has no annotation that injection reads: most have none. */
type Names = Map<string, Annotations>;

export interface ServiceAccountCache {
  get(namespace: string, name: string): Annotations | undefined;
  set(account: ServiceAccount): void;
  delete(account: ServiceAccount): void;
  /** Takes the place of all that was known; until then what was known stays. */
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

/** A service account as the API server writes it; undefined where it is none. */
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

/** Service accounts with resource versions and a history, as etcd stores them for the API server. */
import { randomUUID } from 'node:crypto';
import { createListPages, type Snapshot } from './list-pages.js';
import { StatusError } from './status-error.js';

export type Annotations = Readonly<Record<string, string>>;

/** What else a service account holds. */
export interface AccountExtras {
  /** Further members of `metadata`, such as `labels` and `managedFields`. */
  readonly metadata?: object;
  readonly secrets?: readonly object[];
}

interface Account {
  readonly kind: 'ServiceAccount';
  readonly apiVersion: 'v1';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations?: Annotations;
  };
  readonly secrets?: readonly object[];
}

/** An event of a watch. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Account;
}

export type AccountStore = ReturnType<typeof createAccountStore>;

/** @param onChange called with each change. */
export function createAccountStore(onChange: (change: Change) => void) {
  const accounts = new Map<string, Account>();
  const pages = createListPages();
  const history = createHistory();

  const record = (type: Change['type'], object: Account): void => {
    const change = { type, object };
    history.add(change);
    onChange(change);
  };
  const get = (namespace: string, name: string): Account => {
    const account = accounts.get(`${namespace}/${name}`);
    if (account === undefined) throw new StatusError(404, 'NotFound', `serviceaccounts "${name}" not found`);
    return account;
  };

  return {
    /** Creates or replaces a service account. */
    put: (namespace: string, name: string, annotations?: Annotations, extras: AccountExtras = {}): void => {
      const earlier = accounts.get(`${namespace}/${name}`);
      const uid = earlier?.metadata.uid ?? randomUUID();
      const own = { name, namespace, uid, resourceVersion: String(history.advance()) };
      const metadata = { ...own, ...(annotations !== undefined && { annotations }), ...extras.metadata };
      const account: Account = { kind: 'ServiceAccount', apiVersion: 'v1', ...extras, metadata };
      accounts.set(`${namespace}/${name}`, account);
      record(earlier === undefined ? 'ADDED' : 'MODIFIED', account);
    },
    /** @throws StatusError 404 */
    remove: (namespace: string, name: string): void => {
      const account = get(namespace, name);
      accounts.delete(`${namespace}/${name}`);
      const resourceVersion = String(history.advance());
      record('DELETED', { ...account, metadata: { ...account.metadata, resourceVersion } });
    },
    /** @throws StatusError 404 */
    get,
    /** A page of the list. @throws StatusError 410 for a `continue` token that is too old. */
    list: (limit: number, token: string): object => {
      const takeSnapshot = (): Snapshot => ({ version: history.getVersion(), objects: [...accounts.values()] });
      return pages.read(takeSnapshot, limit, token);
    },
    /** @throws StatusError 410 for a version that is compacted. */
    listChangesSince: history.listSince,
    getVersion: (): string => String(history.getVersion()),
    compact: (): void => {
      history.compact();
      pages.clear();
    },
  };
}

const FIRST_VERSION = 1000;

function createHistory() {
  let changes: Change[] = [];
  let version = FIRST_VERSION;
  let oldest = version;
  return {
    getVersion: (): number => version,
    /** Returns the next version. */
    advance: (): number => ++version,
    add: (change: Change): void => void changes.push(change),
    listSince: (text: string): readonly Change[] => {
      if (!/^\d+$/.test(text)) throw new StatusError(400, 'BadRequest', `resourceVersion is not a number: "${text}"`);
      const since = Number(text);
      if (since < oldest) throw new StatusError(410, 'Expired', `too old resource version: ${since} (${oldest})`);
      return changes.filter(({ object }) => Number(object.metadata.resourceVersion) > since);
    },
    /** Deletes the history. The current version is too old too, as if there had been changes elsewhere. */
    compact: (): void => {
      oldest = ++version;
      changes = [];
    },
  };
}

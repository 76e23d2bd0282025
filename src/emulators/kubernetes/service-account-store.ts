/** Service accounts with resource versions and a past, as etcd keeps them for the API server. */
import { randomUUID } from 'node:crypto';

/** How a request is refused: the API server's `Status`. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Account {
  readonly kind: 'ServiceAccount';
  readonly apiVersion: 'v1';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** As a watch brings it. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Account;
}

export interface AccountStore {
  readonly put: (namespace: string, name: string, annotations?: Readonly<Record<string, string>>) => void;
  readonly remove: (namespace: string, name: string) => void;
  readonly get: (namespace: string, name: string) => Account;
  /** @param limit 0: all. */
  readonly list: (limit: number, token: string) => unknown;
  /** @throws Refusal 410, where the version is compacted. */
  readonly changesSince: (version: string) => readonly Change[];
  readonly version: () => string;
  readonly compact: () => void;
}

/** A list as it was when its first page was asked for. */
interface Snapshot {
  readonly version: number;
  readonly accounts: readonly Account[];
}

/** @param onChange told of each change as it is made. */
export function createAccountStore(onChange: (change: Change) => void): AccountStore {
  const accounts = new Map<string, Account>();
  const snapshots = new Map<string, Snapshot>();
  let changes: Change[] = [];
  let version = 1000;
  let oldest = version;

  const record = (type: Change['type'], object: Account): void => {
    const change = { type, object };
    changes.push(change);
    onChange(change);
  };

  return {
    put: (namespace, name, annotations) => {
      const key = `${namespace}/${name}`;
      const earlier = accounts.get(key);
      version += 1;
      const account: Account = {
        kind: 'ServiceAccount',
        apiVersion: 'v1',
        metadata: {
          name,
          namespace,
          uid: earlier?.metadata.uid ?? randomUUID(),
          resourceVersion: String(version),
          ...(annotations !== undefined && { annotations }),
        },
      };
      accounts.set(key, account);
      record(earlier === undefined ? 'ADDED' : 'MODIFIED', account);
    },
    remove: (namespace, name) => {
      const key = `${namespace}/${name}`;
      const account = accounts.get(key);
      if (account === undefined) throw notFound(name);
      version += 1;
      accounts.delete(key);
      record('DELETED', { ...account, metadata: { ...account.metadata, resourceVersion: String(version) } });
    },
    get: (namespace, name) => {
      const account = accounts.get(`${namespace}/${name}`);
      if (account === undefined) throw notFound(name);
      return account;
    },
    list: (limit, token) => {
      const [id = '', from = '0'] = token.split(' ');
      const snapshot = token === '' ? { version, accounts: [...accounts.values()] } : snapshots.get(id);
      if (snapshot === undefined) throw new Refusal(410, 'Expired', 'The provided continue parameter is too old');
      const start = Number(from);
      const end = limit === 0 ? snapshot.accounts.length : start + limit;
      const remaining = snapshot.accounts.length - end;
      const next = id === '' ? randomUUID() : id;
      if (remaining > 0) snapshots.set(next, snapshot);
      else snapshots.delete(id);
      return {
        kind: 'ServiceAccountList',
        apiVersion: 'v1',
        metadata: {
          resourceVersion: String(snapshot.version),
          ...(remaining > 0 && { continue: `${next} ${end}`, remainingItemCount: remaining }),
        },
        // As in a real list, items carry no kind.
        items: snapshot.accounts.slice(start, end).map(({ metadata }) => ({ metadata })),
      };
    },
    changesSince: (text) => {
      if (!/^\d+$/.test(text)) throw new Refusal(400, 'BadRequest', `resourceVersion is not a number: "${text}"`);
      const since = Number(text);
      if (since < oldest) throw new Refusal(410, 'Expired', `too old resource version: ${since} (${oldest})`);
      return changes.filter(({ object }) => Number(object.metadata.resourceVersion) > since);
    },
    version: () => String(version),
    compact: () => {
      // Also what is current is too old from here on, as if more had changed elsewhere.
      version += 1;
      oldest = version;
      changes = [];
      snapshots.clear();
    },
  };
}

function notFound(name: string): Refusal {
  return new Refusal(404, 'NotFound', `serviceaccounts "${name}" not found`);
}

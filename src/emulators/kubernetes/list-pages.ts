/** Lists in pages: all pages show the moment of the first one, and a token leads from one page to the next. */
import { randomUUID } from 'node:crypto';
import { StatusError } from './status-error.js';

/** The objects of one moment. */
export interface Snapshot {
  readonly version: number;
  readonly objects: readonly { readonly kind: string; readonly apiVersion: string; readonly metadata: object }[];
}

export function createListPages() {
  const snapshots = new Map<string, Snapshot>();
  return {
    /**
     * @param takeSnapshot called for a first page.
     * @param limit 0 for all.
     * @param token `continue` of the page before, or empty.
     * @throws StatusError 410, where the token's snapshot no longer exists.
     */
    read: (takeSnapshot: () => Snapshot, limit: number, token: string): object => {
      const [id = '', from = '0'] = token.split(' ');
      const snapshot = token === '' ? takeSnapshot() : snapshots.get(id);
      if (snapshot === undefined) throw new StatusError(410, 'Expired', 'The provided continue parameter is too old');
      const { version, objects } = snapshot;
      const start = Number(from);
      const end = limit === 0 ? objects.length : start + limit;
      const remainingItemCount = objects.length - end;
      const next = id === '' ? randomUUID() : id;
      // Each page may be asked for again, the last one too, until the history is compacted.
      if (remainingItemCount > 0) snapshots.set(next, snapshot);
      const rest = remainingItemCount > 0 ? { continue: `${next} ${end}`, remainingItemCount } : {};
      const metadata = { resourceVersion: String(version), ...rest };
      // As in a real list, items have no kind.
      const items = objects.slice(start, end).map(({ kind: _kind, apiVersion: _version, ...item }) => item);
      return { kind: 'ServiceAccountList', apiVersion: 'v1', metadata, items };
    },
    clear: (): void => snapshots.clear(),
  };
}

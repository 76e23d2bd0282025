/** The running watches of the API server. */
import type { ServerResponse } from 'node:http';
import type { Change } from './service-account-store.js';
import { StatusError, writeStatus } from './status-error.js';

interface WatchOptions {
  readonly wantsBookmarks: boolean;
  /** The server ends the watch then. */
  readonly timeoutMs: number;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly wantsBookmarks: boolean;
  isStalled: boolean;
}

export type Watchers = ReturnType<typeof createWatchers>;

export function createWatchers() {
  const watchers = new Set<Watcher>();
  return {
    /** Starts a watch with the changes that the watcher has missed. */
    add: (response: ServerResponse, missed: readonly Change[], { wantsBookmarks, timeoutMs }: WatchOptions): void => {
      const watcher = { response, wantsBookmarks, isStalled: false };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      for (const change of missed) send(watcher, change);
      watchers.add(watcher);
      const timer = setTimeout(() => response.end(), timeoutMs);
      response.on('close', () => {
        watchers.delete(watcher);
        clearTimeout(timer);
      });
    },
    publish: (change: Change): void => {
      for (const watcher of watchers) send(watcher, change);
    },
    /** Sends a bookmark to the watchers that asked for bookmarks. */
    bookmark: (resourceVersion: string): void => {
      const metadata = { resourceVersion, creationTimestamp: null };
      const bookmark = { type: 'BOOKMARK', object: { kind: 'ServiceAccount', apiVersion: 'v1', metadata } };
      for (const watcher of watchers) if (watcher.wantsBookmarks) send(watcher, bookmark);
    },
    /** Ends all watches with the event ERROR 410. */
    expire: (): void => {
      const object = writeStatus(new StatusError(410, 'Expired', 'too old resource version'));
      for (const watcher of watchers) {
        send(watcher, { type: 'ERROR', object });
        watcher.response.end();
      }
    },
    cut: (): void => {
      for (const { response } of watchers) response.destroy();
    },
    stall: (): void => {
      for (const watcher of watchers) watcher.isStalled = true;
    },
    count: (): number => watchers.size,
  };
}

function send(watcher: Watcher, event: { readonly type: string; readonly object: unknown }): void {
  if (!watcher.isStalled) watcher.response.write(`${JSON.stringify(event)}\n`);
}

/** Creates pods at a steady rate, as a dry run, and counts what becomes of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SIDECAR_CONTAINER } from '../../src/names.js';
import type { Api, KubernetesObject } from './api.js';
import { WORKLOAD_IMAGE } from './installation.js';

export interface LoadFailure {
  /** When it was asked, milliseconds since 1970. */
  readonly at: number;
  /** Status and body of the answer. */
  readonly said: string;
}

export interface LoadResult {
  readonly asked: number;
  /** Answers of the API server that were no creation. */
  readonly failures: readonly LoadFailure[];
  /** Requests that the API server itself did not answer. */
  readonly unanswered: number;
  /** Created pods without our sidecar. */
  readonly missed: number;
}

export interface Load {
  stop(): Promise<LoadResult>;
}

/** A small pod that asks by name. */
export function buildSmallPod(
  namespace: string,
  name: string,
  annotations: Readonly<Record<string, string>> = {},
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { 'azure.workload.identity/use': 'true' },
      annotations: { 'ado-git.workload.identity/inject': 'enabled', ...annotations },
    },
    spec: { serviceAccountName: 'builder', containers: [{ name: 'app', image: WORKLOAD_IMAGE, command: ['true'] }] },
  };
}

/** Whether a pod, as the API server answers it, holds our sidecar. */
export function isInjected(pod: unknown): boolean {
  const { spec } = pod as { spec?: { initContainers?: { name: string }[] } };
  return spec?.initContainers?.[0]?.name === SIDECAR_CONTAINER;
}

/** Starts creating `perSecond` pods a second. */
export function startLoad(api: Api, namespace: string, perSecond: number): Load {
  const failures: LoadFailure[] = [];
  const pending = new Set<Promise<void>>();
  let asked = 0;
  let unanswered = 0;
  let missed = 0;
  const stop = new AbortController();

  async function createOne(): Promise<void> {
    const at = Date.now();
    try {
      const { status, body } = await api.create(buildSmallPod(namespace, `load-${asked}`), '?dryRun=All');
      if (status !== 201) failures.push({ at, said: `${status} ${JSON.stringify(body)}` });
      else if (!isInjected(body)) missed += 1;
    } catch {
      unanswered += 1;
    }
  }

  const loop = (async () => {
    const begun = performance.now();
    while (!stop.signal.aborted) {
      asked += 1;
      const one = createOne();
      pending.add(one);
      void one.finally(() => pending.delete(one));
      await sleep(Math.max(0, begun + (asked * 1000) / perSecond - performance.now()));
    }
  })();

  return {
    stop: async () => {
      stop.abort();
      await loop;
      await Promise.all(pending);
      return { asked, failures, unanswered, missed };
    },
  };
}

/** The value below which a share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

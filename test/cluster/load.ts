/** Creates pods at a steady rate, as a dry run, and counts the failures: `startLoad`; small pods: `buildSmallPod`; `inParallel`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { INJECT, SIDECAR_CONTAINER, USE_LABEL } from '../../src/names.js';
import { type EpochMs, epochMs } from '../../src/time.js';
import type { Api, KubernetesObject } from './api.js';
import { WORKLOAD_IMAGE } from './installation.js';

export interface LoadFailure {
  /** When the request was sent. */
  readonly at: EpochMs;
  /** Status and body. */
  readonly answer: string;
}

export interface LoadResult {
  readonly sent: number;
  /** Requests that the API server answered with something other than a creation. */
  readonly failures: readonly LoadFailure[];
  /** Requests that the API server itself did not answer. */
  readonly unanswered: number;
  /** Created pods without our sidecar. */
  readonly notInjected: number;
  /** Milliseconds of each request that was answered. */
  readonly times: readonly number[];
}

export interface Load {
  stop(): Promise<LoadResult>;
}

export interface SmallPod {
  /** With the annotation that asks for injection, so that a refusal denies the pod; it is otherwise admitted with a warning. */
  readonly asksByName?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
}

/** A pod that is considered for injection, with one container. */
export function buildSmallPod(
  namespace: string,
  name: string,
  { asksByName = false, annotations = {}, serviceAccount = 'builder' }: SmallPod = {},
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { [USE_LABEL]: 'true' },
      annotations: asksByName ? { [INJECT]: 'enabled', ...annotations } : annotations,
    },
    spec: {
      serviceAccountName: serviceAccount,
      containers: [{ name: 'app', image: WORKLOAD_IMAGE, command: ['true'] }],
    },
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
  const times: number[] = [];
  const pending = new Set<Promise<void>>();
  let sent = 0;
  let unanswered = 0;
  let notInjected = 0;
  const stop = new AbortController();

  async function createOne(): Promise<void> {
    const at = epochMs(Date.now());
    const sentMs = performance.now();
    try {
      const pod = buildSmallPod(namespace, `load-${sent}`, { asksByName: true });
      const { status, body } = await api.create(pod, '?dryRun=All');
      times.push(performance.now() - sentMs);
      if (status !== 201) failures.push({ at, answer: `${status} ${JSON.stringify(body)}` });
      else if (!isInjected(body)) notInjected += 1;
    } catch {
      unanswered += 1;
    }
  }

  const loop = (async () => {
    const startMs = performance.now();
    while (!stop.signal.aborted) {
      sent += 1;
      const one = createOne();
      pending.add(one);
      void one.finally(() => pending.delete(one));
      await sleep(Math.max(0, startMs + (sent * 1000) / perSecond - performance.now()));
    }
  })();

  return {
    stop: async () => {
      stop.abort();
      await loop;
      await Promise.all(pending);
      return { sent, failures, unanswered, notInjected, times };
    },
  };
}

/** Calls the action for 0 to `count - 1`, with this many calls at a time. */
export async function inParallel(
  count: number,
  parallel: number,
  action: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await action(index);
  };
  await Promise.all(Array.from({ length: parallel }, work));
}

/** The value that a share of the values is below. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

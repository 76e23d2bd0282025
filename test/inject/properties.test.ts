/** What must hold for any pod, judged by a second RFC 6902 implementation. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import t from 'tap';
import { uninjectPod } from '../../src/inject/index.js';
import { SIDECAR_CONTAINER, VOLUME } from '../../src/names.js';
import {
  annotations,
  byName,
  CLIENT_ID,
  inject,
  type Item,
  patched,
  type PodJson,
  pods,
} from '../support/arbitrary-pods.js';

const RUNS = { numRuns: 400 };
const OURS = new Set<string>([SIDECAR_CONTAINER, 'registry', ...Object.values(VOLUME)]);
const OUR_ENV = /^GIT_CONFIG_(?:COUNT|SYSTEM|(?:KEY|VALUE)_\d+)$/;

/** The pod without our items and without empty lists: the rest must be the user's, in the user's order. */
function strip(pod: PodJson, original: PodJson): unknown {
  const withoutOurs = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      const items = value
        .filter((item: Item | null) => !OURS.has(String(item?.name)) && !OUR_ENV.test(String(item?.name)))
        .map(withoutOurs);
      return items.length === 0 ? null : items;
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .map(([key, item]) => [key, withoutOurs(item) ?? null])
        .filter(([, item]) => item !== null),
    );
  };
  const own = new Set(Object.keys(original.metadata.annotations ?? {}));
  const texts = Object.entries(pod.metadata.annotations ?? {}).filter(([key]) => own.has(key));
  const { 'ado-git.workload.identity/injected': _label, ...labels } = pod.metadata.labels;
  return { spec: withoutOurs(pod.spec), labels, texts: Object.fromEntries(texts) };
}

/** The environment by container and variable. Of the user's own variables only the count may change, by one. */
function gitEnvironment(pod: PodJson): Map<string, unknown> {
  const entries = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].flatMap((one) =>
    ((one['env'] ?? []) as Item[]).map(
      (item) => [`${one.name} ${item.name}`, item['value'] ?? item['valueFrom']] as const,
    ),
  );
  return new Map(entries);
}

void t.test('the patch applies, and nothing of the user is removed, changed or reordered', (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pods, (pod) => {
        const before = structuredClone(pod);
        const after = patched(pod);
        assert.deepEqual(pod, before, 'the input is unchanged');
        assert.deepEqual(strip(after, pod), strip(pod, pod));
        const environment = gitEnvironment(after);
        for (const [key, value] of gitEnvironment(pod)) {
          const now = environment.get(key);
          if (now !== value && JSON.stringify(now) !== JSON.stringify(value)) {
            assert.match(key, / GIT_CONFIG_COUNT$/);
            assert.equal(Number(now), Number(value) + 1);
          }
        }
        assert.equal(after.spec.initContainers?.[0]?.name, SIDECAR_CONTAINER);
      }),
      RUNS,
    ),
  );
  t.end();
});

void t.test('twice is once, and uninject gives back what was there', (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pods, (pod) => {
        const once = patched(pod);
        const again = inject(once);
        assert.ok(again.kind === 'injected' && again.patch.length === 0, 'the second patch is empty');
        const back = structuredClone(once);
        applyPatch(back, structuredClone(uninjectPod(once) ?? []) as never);
        assert.deepEqual({ ...back.spec, imagePullSecrets: 0 }, { ...pod.spec, imagePullSecrets: 0 });
        assert.deepEqual(back.metadata, pod.metadata);
      }),
      RUNS,
    ),
  );
  t.end();
});

void t.test('our items follow a service account that changes between two passes', (t) => {
  const accounts = fc.tuple(annotations, annotations).map((pair) =>
    pair.map(({ 'someone/else': _, 'azure.workload.identity/skip-containers': __, ...texts }) => ({
      ...texts,
      'azure.workload.identity/client-id': CLIENT_ID,
    })),
  );
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pods, accounts, (pod, [first, second]) => {
        pod.metadata.annotations = null;
        const followed = patched(patched(pod, first), second);
        const fresh = patched(pod, second);
        assert.deepEqual(byName(followed), byName(fresh));
      }),
      RUNS,
    ),
  );
  t.end();
});

type AzureVersion = '1.2' | '1.5' | '1.6.0' | '1.6.1';

/** Name and mount path of the volume that each version of the Azure workload identity webhook adds. */
const AZURE_VOLUME: Readonly<Record<AzureVersion, readonly [string, string]>> = {
  '1.2': ['azure-identity-token', '/var/run/secrets/azure/tokens'],
  '1.5': ['azure-identity-token', '/var/run/secrets/azure/tokens'],
  '1.6.0': ['azure-identity-token-wi', '/var/run/secrets/azure/wi/token'],
  '1.6.1': ['azure-wi-token', '/var/run/secrets/azure/wi'],
};

/** What the Azure webhook and the API server do to a pod, and to each of its containers, ours too. */
function mutateAsAzure(pod: PodJson, version: AzureVersion): PodJson {
  const result = structuredClone(pod);
  const [name, mountPath] = AZURE_VOLUME[version];
  for (const one of [...(result.spec.initContainers ?? []), ...result.spec.containers]) {
    const env = (one['env'] ??= []) as Item[];
    addIfAbsent(env, { name: 'AZURE_CLIENT_ID', value: CLIENT_ID });
    addIfAbsent(env, { name: 'AZURE_FEDERATED_TOKEN_FILE', value: `${mountPath}/azure-identity-token` });
    addIfAbsent((one['volumeMounts'] ??= []) as Item[], { name, mountPath, readOnly: true });
    one['terminationMessagePath'] = '/dev/termination-log';
    one['terminationMessagePolicy'] = 'File';
    one['imagePullPolicy'] ??= 'IfNotPresent';
  }
  if (version === '1.2') for (const one of result.spec.initContainers ?? []) delete one['restartPolicy'];
  addIfAbsent((result.spec.volumes ??= []), { name, projected: { defaultMode: 420, sources: [] } });
  return result;
}

function addIfAbsent(items: Item[], item: Item): void {
  if (!items.some(({ name }) => name === item.name)) items.push(item);
}

void t.test('with the Azure webhook before, after and between, our part is the same', (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pods, fc.constantFrom<AzureVersion>('1.2', '1.5', '1.6.0', '1.6.1'), (pod, version) => {
        const only = patched(pod);
        const before = patched(mutateAsAzure(pod, version));
        const between = patched(mutateAsAzure(patched(pod), version));
        const last = mutateAsAzure(patched(mutateAsAzure(pod, version)), version);
        for (const other of [before, between, patched(last)]) {
          assert.deepEqual(ourPart(other), ourPart(only));
          const again = inject(other);
          assert.ok(again.kind === 'injected' && again.patch.length === 0, 'another pass changes nothing');
        }
      }),
      RUNS,
    ),
  );
  t.end();
});

/** Our volumes, mounts and variables, and the sidecar without what others added to it. */
function ourPart(pod: PodJson): unknown {
  const own = (items: unknown, isOurs: (item: Item) => boolean): unknown => ((items ?? []) as Item[]).filter(isOurs);
  const [sidecar] = pod.spec.initContainers ?? [];
  const {
    terminationMessagePath: _p,
    terminationMessagePolicy: _q,
    imagePullPolicy: _r,
    ...container
  } = sidecar ?? { name: '' };
  return {
    sidecar: {
      ...container,
      env: own(container['env'], (item) => !item.name.startsWith('AZURE_')),
      volumeMounts: own(container['volumeMounts'], (item) => OURS.has(item.name)),
    },
    volumes: own(pod.spec.volumes, (item) => OURS.has(item.name)),
    containers: pod.spec.containers.map((one) => ({
      env: own(one['env'], (item) => OUR_ENV.test(item.name)),
      volumeMounts: own(one['volumeMounts'], (item) => OURS.has(item.name)),
    })),
  };
}

void t.test('it never throws, whatever it is given', (t) => {
  const labelled = fc
    .anything()
    .map((spec) => ({ metadata: { labels: { 'azure.workload.identity/use': 'true' } }, spec }));
  const broken = fc.tuple(pods, fc.anything(), fc.nat()).map(([pod, junk, seed]) => {
    const copy = JSON.parse(JSON.stringify(pod)) as Record<string, never>;
    const spots: [Record<string, unknown>, string][] = [];
    const walk = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      for (const key of Object.keys(value)) {
        spots.push([value as Record<string, unknown>, key]);
        walk((value as Record<string, unknown>)[key]);
      }
    };
    walk(copy);
    const spot = spots[seed % spots.length];
    if (spot !== undefined) spot[0][spot[1]] = junk;
    return copy;
  });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.oneof(fc.anything(), labelled, broken), (pod) => {
        assert.match(inject(pod).kind, /^(?:injected|skipped|refused)$/);
        uninjectPod(pod);
      }),
      { numRuns: 2000 },
    ),
  );
  t.end();
});

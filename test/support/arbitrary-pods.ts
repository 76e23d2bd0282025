/** Any pods, for properties, and injection judged by a second RFC 6902 implementation. */
import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import { type Defaults, injectPod, type Outcome, STANDARD_DEFAULTS } from '../../src/inject/index.js';
import { ANNOTATION } from '../../src/names.js';

export const CLIENT_ID = '11111111-2222-3333-4444-555555555555';
const DEFAULTS: Defaults = {
  ...STANDARD_DEFAULTS,
  image: 'sidecar:1',
  tenantId: 'contoso.example',
  pullSecrets: ['registry'],
};

export interface Item {
  name: string;
  [key: string]: unknown;
}
export interface PodJson {
  metadata: { labels: Record<string, string>; annotations?: Record<string, string> | null };
  spec: { containers: Item[]; initContainers?: Item[] | null; volumes?: Item[] | null };
}

export function inject(
  pod: unknown,
  annotations: Record<string, string> = { 'azure.workload.identity/client-id': CLIENT_ID },
): Outcome {
  return injectPod({ pod, namespace: 'shop', serviceAccount: { state: 'found', annotations }, defaults: DEFAULTS });
}

export function patched(pod: PodJson, annotations?: Record<string, string>): PodJson {
  const outcome = inject(pod, annotations);
  if (outcome.kind !== 'injected') throw new Error(outcome.message);
  const result = structuredClone(pod);
  const errors = applyPatch(result, structuredClone(outcome.patch) as never).filter((error) => error !== null);
  if (errors.length > 0) throw new Error(`the patch does not apply: ${errors.join('; ')}`);
  return result;
}

const name = fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/);
const gitEnv = fc.constantFrom<Item[]>(
  [],
  [{ name: 'GIT_CONFIG_COUNT', value: '0' }],
  [
    { name: 'GIT_CONFIG_COUNT', value: '1' },
    { name: 'GIT_CONFIG_KEY_0', value: 'a.b' },
    { name: 'GIT_CONFIG_VALUE_0', value: 'c' },
  ],
  [
    { name: 'GIT_CONFIG_COUNT', value: '2' },
    { name: 'GIT_CONFIG_COUNT', value: '3' },
  ],
  [{ name: 'GIT_CONFIG_COUNT', value: '-1' }],
  [{ name: 'GIT_CONFIG_COUNT', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
  [{ name: 'GIT_CONFIG_KEY_0', value: 'a.b' }],
  [{ name: 'GIT_CONFIG_SYSTEM', value: '/opt/gitconfig' }],
);
const ordinaryEnv = fc.array(
  fc.record({ name: fc.stringMatching(/^[A-Z_]{1,5}$/), value: fc.string({ unit: 'binary' }) }),
  { maxLength: 3 },
);
const container = fc.record(
  {
    name,
    image: fc.constant('app:1'),
    env: fc.option(
      fc.tuple(ordinaryEnv, gitEnv, ordinaryEnv).map((parts) => parts.flat()),
      { nil: null },
    ),
    envFrom: fc.constantFrom([], [{ secretRef: { name: 'settings' } }]),
    volumeMounts: fc.option(
      fc.array(fc.record({ name: fc.constant('work'), mountPath: fc.stringMatching(/^\/w[a-z/]{0,8}$/) }), {
        maxLength: 2,
      }),
      { nil: null },
    ),
    securityContext: fc.record(
      { runAsUser: fc.constantFrom(0, 1000, 2000), runAsNonRoot: fc.boolean() },
      { requiredKeys: [] },
    ),
    resources: fc.constantFrom({}, { limits: { cpu: '1', memory: '1Gi' } }, { requests: { cpu: '100m' } }),
    'x-newer-field': fc.json(),
  },
  { requiredKeys: ['name', 'image'] },
);
export const annotations = fc.record(
  {
    [ANNOTATION.gitConfig]: fc.constantFrom('auto', 'env', 'system', 'file', 'env,file', 'system,file,env'),
    [ANNOTATION.organizations]: fc.constantFrom('contoso', 'contoso, fabrikam'),
    [ANNOTATION.projects]: fc.constantFrom("contoso/Web Shop's", 'contoso/a,fabrikam/b'),
    [ANNOTATION.startup]: fc.constantFrom('proceed', 'wait', 'require'),
    'azure.workload.identity/skip-containers': fc.constant('sidecar;;other'),
    'someone/else': fc.string(),
  },
  { requiredKeys: [] },
);
export const pods: fc.Arbitrary<PodJson> = fc
  .record({
    apiVersion: fc.constant('v1'),
    kind: fc.constant('Pod'),
    metadata: fc
      .tuple(fc.dictionary(name, fc.string()), fc.option(annotations, { nil: null }), fc.boolean())
      .map(([labels, texts, without]) => ({
        labels: { ...labels, 'azure.workload.identity/use': 'true' },
        ...(without ? {} : { annotations: texts }),
      })),
    spec: fc
      .tuple(
        fc.uniqueArray(container, { minLength: 1, maxLength: 3, selector: (item) => item.name }),
        fc.constantFrom('absent', 'null', 'empty', 'some'),
        fc.constantFrom<Item[] | null | undefined>(undefined, null, [], [{ name: 'work', emptyDir: {} }]),
        fc.record(
          {
            hostNetwork: fc.boolean(),
            resources: fc.constant({ limits: { cpu: '2', memory: '48Mi' } }),
            'x-newer': fc.json(),
          },
          { requiredKeys: [] },
        ),
      )
      .map(([containers, init, volumes, rest]) => ({
        ...rest,
        containers,
        ...(init === 'absent'
          ? {}
          : {
              initContainers:
                init === 'null'
                  ? null
                  : init === 'empty'
                    ? []
                    : containers.map((one) => ({ ...one, name: `init-${one.name}` })),
            }),
        ...(volumes === undefined ? {} : { volumes }),
      })),
  })
  .map((pod) => JSON.parse(JSON.stringify(pod)) as PodJson);

/**
 * Lists as maps by name, since a second pass may leave our items at other places than a first one would. Without empty
 * values, and without the status, which says what was empty.
 */
export function byName(pod: PodJson): unknown {
  const convert = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const entries: [string, unknown][] = Array.isArray(value)
      ? (value as Item[]).map((item, index) => [
          typeof item === 'object' && 'name' in item ? `${item.name} ${String(item['mountPath'])}` : String(index),
          item,
        ])
      : Object.entries(value);
    const kept = entries
      .filter(([key]) => key !== 'ado-git.workload.identity/status')
      .map(([key, item]) => [key, convert(item)] as const)
      .filter(([, item]) => item !== null && JSON.stringify(item) !== '{}');
    return Object.fromEntries(kept);
  };
  return convert(pod);
}

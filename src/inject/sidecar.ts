/** The sidecar's container, fitted to its pod. PURE. */
import type { V1Container, V1EnvVar, V1Probe, V1SecurityContext } from '@kubernetes/client-node';
import { SIDECAR_PROCESS_ENV } from '../defaults.js';
import type { Container, Plain, Quantities } from '../kubernetes/types.js';
import {
  API_TOKEN_DIRECTORY,
  EXTRA_CA_DIRECTORY,
  EXTRA_CA_KEY,
  IMAGE,
  NO_PORT,
  SIDECAR_CONTAINER,
  SIDECAR_ENV,
  SIDECAR_PORT_NAME,
  STATE_DIRECTORY,
  TOKEN_DIRECTORY,
  TOKEN_FILE,
  VOLUME,
} from '../names.js';
import type { SidecarResources } from './annotation-readers.js';
import { ISTIO_PROXY } from './mesh.js';
import type { CheckedPod } from './pod-shape.js';
import { parseQuantity } from './quantity.js';
import type { Defaults, Settings } from './settings.js';

export type SidecarProbe = 'healthz' | 'startz';

/** The kubelet's largest threshold: at one failure a second it gives up after 68 years. */
const NEVER = 2 ** 31 - 1;

/** The sidecar as it is written. Quantities from an annotation may be numbers. */
export type SidecarContainer = Omit<Plain<V1Container>, 'resources'> & { readonly resources: SidecarResources };

/**
 * Builds the native sidecar.
 *
 * @param containers of the user's, init containers too.
 */
export function buildSidecar(
  pod: CheckedPod,
  containers: readonly Container[],
  settings: Settings,
  defaults: Defaults,
): SidecarContainer {
  const port = pod.spec.hostNetwork === true ? NO_PORT : settings.port;
  const startupProbe: Plain<V1Probe> = {
    ...buildProbe('startz', port, pod, defaults),
    periodSeconds: 1,
    failureThreshold: NEVER,
  };
  return {
    name: SIDECAR_CONTAINER,
    image: defaults.image,
    ...(defaults.imagePullPolicy !== undefined && { imagePullPolicy: defaults.imagePullPolicy }),
    command: [IMAGE.node, ...defaults.nodeFlags, IMAGE.sidecar],
    restartPolicy: 'Always',
    env: buildEnv(settings, defaults, port),
    ...(port !== NO_PORT && { ports: [{ name: SIDECAR_PORT_NAME, containerPort: port, protocol: 'TCP' }] }),
    volumeMounts: [
      { name: VOLUME.token, mountPath: TOKEN_DIRECTORY, readOnly: true },
      { name: VOLUME.state, mountPath: STATE_DIRECTORY },
      { name: VOLUME.noApiToken, mountPath: API_TOKEN_DIRECTORY, readOnly: true },
      ...(defaults.extraCaConfigMap === undefined
        ? []
        : [{ name: VOLUME.extraCa, mountPath: EXTRA_CA_DIRECTORY, readOnly: true }]),
    ],
    ...(settings.startup !== 'proceed' && { startupProbe }),
    livenessProbe: { ...buildProbe('healthz', port, pod, defaults), periodSeconds: 60, failureThreshold: 3 },
    resources: fitResources(pod, containers, settings.resources, defaults.resources),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      seccompProfile: { type: 'RuntimeDefault' },
      ...chooseUser(pod, containers, defaults.runAsUser),
    },
  };
}

function buildEnv(settings: Settings, defaults: Defaults, port: number): Plain<V1EnvVar>[] {
  const values: Record<string, string | undefined> = {
    [SIDECAR_ENV.clientId]: settings.clientId,
    [SIDECAR_ENV.tenantId]: settings.tenantId,
    [SIDECAR_ENV.authorityHost]: defaults.authorityHost,
    [SIDECAR_ENV.tokenFile]: `${TOKEN_DIRECTORY}/${TOKEN_FILE}`,
    [SIDECAR_ENV.directory]: STATE_DIRECTORY,
    [SIDECAR_ENV.port]: String(port),
    [SIDECAR_ENV.startup]: settings.startup,
    [SIDECAR_ENV.mode]: 'helper',
    [SIDECAR_ENV.organizations]: settings.organizations.length === 0 ? undefined : settings.organizations.join(','),
    [SIDECAR_ENV.logLevel]: settings.logLevel,
    [SIDECAR_ENV.extraCa]:
      defaults.extraCaPem ??
      (defaults.extraCaConfigMap === undefined ? undefined : `${EXTRA_CA_DIRECTORY}/${EXTRA_CA_KEY}`),
    [SIDECAR_ENV.httpsProxy]: defaults.httpsProxy,
    [SIDECAR_ENV.noProxy]: defaults.noProxy,
    ...SIDECAR_PROCESS_ENV,
  };
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

/**
 * A probe over HTTP. A program in the sidecar asks instead where the sidecar opens no port, and where Istio's proxy is in the
 * pod: in strict mutual TLS it refuses the kubelet's plain request.
 */
function buildProbe(path: SidecarProbe, port: number, { spec }: CheckedPod, defaults: Defaults): Plain<V1Probe> {
  const flags = defaults.nodeFlags;
  const hasIstio = [...(spec.initContainers ?? []), ...spec.containers].some(({ name }) => name === ISTIO_PROXY);
  return port === NO_PORT || hasIstio
    ? { exec: { command: [IMAGE.node, ...flags, IMAGE.sidecar, 'probe', path] }, timeoutSeconds: 10 }
    : { httpGet: { path: `/${path}`, port, scheme: 'HTTP' }, timeoutSeconds: 5 };
}

/**
 * If all containers run as one user, the kubelet lets only that user read projected tokens (mode 0600); otherwise all may.
 * A sidecar with a user of its own would change the mode of the pod's other tokens. Even as root it has no capability.
 */
function chooseUser(
  pod: CheckedPod,
  containers: readonly Container[],
  fallback: number | null,
): Plain<Pick<V1SecurityContext, 'runAsUser' | 'runAsNonRoot'>> {
  const ofPod = pod.spec.securityContext?.runAsUser ?? undefined;
  const users = containers.map(({ securityContext }) => securityContext?.runAsUser ?? undefined);
  const effective = new Set(users.map((user) => user ?? ofPod));
  const common = effective.size === 1 ? [...effective][0] : undefined;
  // Where the pod's user is root but every container sets another, the sidecar does not run as root either.
  const inherited = ofPod !== 0 || users.includes(undefined) ? ofPod : undefined;
  const user = fallback === null ? ofPod : (common ?? inherited ?? fallback);
  // Written out, since the kubelet refuses a root that inherits the pod's `runAsNonRoot: true`.
  const runAsNonRoot = user !== 0;
  return fallback === null || user === undefined ? { runAsNonRoot } : { runAsNonRoot, runAsUser: user };
}

/** Requests and limits that keep the pod's quality-of-service class, and stay within its own totals. */
function fitResources(
  pod: CheckedPod,
  containers: readonly Container[],
  chosen: SidecarResources | undefined,
  defaults: SidecarResources,
): SidecarResources {
  const ofPod = pod.spec.resources;
  const { requests, limits } = chosen ?? defaults;
  if ([ofPod?.requests, ofPod?.limits].some((quantities) => Object.keys(quantities ?? {}).length > 0)) {
    // Without requests the API server sets them to the limits, and their sum may then exceed the pod's.
    const zero = { ...mapValues(limits ?? {}, () => '0'), cpu: '0', memory: '0' };
    return chosen === undefined
      ? { requests: zero, limits: mapValues(limits ?? {}, (limit, name) => chooseLesser(limit, ofPod?.limits?.[name])) }
      : { ...chosen, requests: { ...zero, ...requests } };
  }
  if (chosen !== undefined) return chosen;
  if (!containers.every(isGuaranteed)) return defaults;
  const guaranteed = { cpu: '100m', memory: String(limits?.['memory'] ?? '64Mi') };
  return { requests: guaranteed, limits: guaranteed };
}

function isGuaranteed({ resources }: Container): boolean {
  return ['cpu', 'memory'].every((name) => {
    const limit = parseQuantity(resources?.limits?.[name]);
    const request = resources?.requests?.[name];
    return limit !== undefined && limit > 0 && (request === undefined || parseQuantity(request) === limit);
  });
}

function chooseLesser(a: string | number, b: string | number | undefined): string | number {
  return b !== undefined && (parseQuantity(b) ?? Infinity) < (parseQuantity(a) ?? 0) ? b : a;
}

function mapValues(
  quantities: Quantities,
  change: (quantity: string | number, name: string) => string | number,
): Quantities {
  return Object.fromEntries(Object.entries(quantities).map(([name, quantity]) => [name, change(quantity, name)]));
}

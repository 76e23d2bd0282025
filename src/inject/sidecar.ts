/** The sidecar's container, fitted to the pod it joins. PURE. */
import type { Container, Pod, Quantities } from '../kubernetes/types.js';
import {
  EXTRA_CA_DIRECTORY,
  EXTRA_CA_KEY,
  IMAGE,
  NO_PORT,
  SIDECAR_CONTAINER,
  SIDECAR_ENV,
  SIDECAR_PROCESS_ENV,
  STATE_DIRECTORY,
  TOKEN_DIRECTORY,
  TOKEN_FILE,
  VOLUME,
} from '../names.js';
import type { SidecarResources } from './annotations.js';
import { parseQuantity } from './quantity.js';
import type { Defaults, Settings } from './settings.js';

/** Kubelet counts failures in 32 bits; with one a second it gives up after 68 years. */
const NEVER = 2 ** 31 - 1;

/** Builds the native sidecar. `containers` are the user's, init containers too. */
export function buildSidecar(
  pod: Pod,
  containers: readonly Container[],
  settings: Settings,
  defaults: Defaults,
): Container {
  const { spec } = pod;
  const port = spec.hostNetwork === true ? NO_PORT : settings.port;
  const startupProbe = settings.startup !== 'proceed' && {
    startupProbe: { ...buildProbe('startz', port, defaults), periodSeconds: 1, failureThreshold: NEVER },
  };
  const sidecar: Container & Readonly<Record<string, unknown>> = {
    name: SIDECAR_CONTAINER,
    image: defaults.image,
    ...(defaults.imagePullPolicy !== undefined && { imagePullPolicy: defaults.imagePullPolicy }),
    command: [IMAGE.node, ...defaults.nodeFlags, IMAGE.sidecar],
    restartPolicy: 'Always',
    env: buildEnv(settings, defaults, port),
    volumeMounts: [
      { name: VOLUME.token, mountPath: TOKEN_DIRECTORY, readOnly: true },
      { name: VOLUME.state, mountPath: STATE_DIRECTORY },
      ...(defaults.extraCaConfigMap === undefined
        ? []
        : [{ name: VOLUME.extraCa, mountPath: EXTRA_CA_DIRECTORY, readOnly: true }]),
    ],
    ...startupProbe,
    livenessProbe: { ...buildProbe('healthz', port, defaults), periodSeconds: 60, failureThreshold: 3 },
    resources: fitResources(pod, containers, settings.resources, defaults.resources),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      seccompProfile: { type: 'RuntimeDefault' },
      ...chooseUser(pod, containers, defaults.runAsUser),
    },
  };
  return sidecar;
}

function buildEnv(settings: Settings, defaults: Defaults, port: number): { name: string; value: string }[] {
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

/** Over HTTP, or where the sidecar opens no port as a program of its own that asks over the socket. */
function buildProbe(path: 'healthz' | 'startz', port: number, defaults: Defaults): Readonly<Record<string, unknown>> {
  const flags = defaults.nodeFlags;
  return port === NO_PORT
    ? { exec: { command: [IMAGE.node, ...flags, IMAGE.sidecar, 'probe', path] }, timeoutSeconds: 10 }
    : { httpGet: { path: `/${path}`, port, scheme: 'HTTP' }, timeoutSeconds: 5 };
}

/**
 * The kubelet writes projected tokens 0600 to the common user of all containers, and readable for all otherwise: a
 * sidecar with another user would change the mode of the user's own. Root keeps no capability here.
 */
function chooseUser(
  pod: Pod,
  containers: readonly Container[],
  fallback: number | null,
): Readonly<Record<string, unknown>> {
  const ofPod = pod.spec.securityContext?.runAsUser ?? undefined;
  const users = containers.map(({ securityContext }) => securityContext?.runAsUser ?? undefined);
  const effective = new Set(users.map((user) => user ?? ofPod));
  const common = effective.size === 1 ? [...effective][0] : undefined;
  // Where every container chose another user than the pod's root, so does the sidecar.
  const inherited = ofPod !== 0 || users.includes(undefined) ? ofPod : undefined;
  const user = fallback === null ? ofPod : (common ?? inherited ?? fallback);
  const runAsNonRoot = user === 0 ? {} : { runAsNonRoot: true };
  return fallback === null || user === undefined ? runAsNonRoot : { ...runAsNonRoot, runAsUser: user };
}

/** Requests and limits that leave the pod's class of service and its own totals as they are. */
function fitResources(
  pod: Pod,
  containers: readonly Container[],
  chosen: SidecarResources | undefined,
  defaults: SidecarResources,
): SidecarResources {
  const ofPod = pod.spec.resources;
  const { requests, limits } = chosen ?? defaults;
  if (Object.keys({ ...ofPod?.requests, ...ofPod?.limits }).length > 0) {
    // Left out, the API server makes requests equal to the limits, and their sum may then pass the pod's.
    const zero = { ...mapValues(limits ?? {}, () => '0'), cpu: '0', memory: '0' };
    return chosen === undefined
      ? { requests: zero, limits: mapValues(limits ?? {}, (limit, name) => lesser(limit, ofPod?.limits?.[name])) }
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

function lesser(a: string | number, b: string | number | undefined): string | number {
  return b !== undefined && (parseQuantity(b) ?? Infinity) < (parseQuantity(a) ?? 0) ? b : a;
}

function mapValues(
  quantities: Quantities,
  change: (quantity: string | number, name: string) => string | number,
): Quantities {
  return Object.fromEntries(Object.entries(quantities).map(([name, quantity]) => [name, change(quantity, name)]));
}

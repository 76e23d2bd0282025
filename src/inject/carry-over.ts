/**
 * The sidecar on a later pass. Ours to restore are its command, its restart policy, our variables and our mounts; and nothing
 * of others may decide what runs in it (docs/decisions/0019-what-the-sidecar-loads.md). All else is carried over as others left
 * it: image mirrors, AlwaysPullImages, LimitRange, OpenShift's SCC, the vertical autoscaler and meshes have the last word there,
 * since nobody corrects after us. PURE.
 */
import type { Container, ContainerPort, EnvVar, VolumeMount } from '../kubernetes/types.js';
import {
  API_TOKEN_DIRECTORY,
  EXTRA_CA_DIRECTORY,
  IMAGE_DIRECTORIES,
  OUR_VOLUMES,
  SIDECAR_ENV,
  SIDECAR_PORT_NAME,
  STATE_DIRECTORY,
  TOKEN_DIRECTORY,
  VOLUME,
} from '../names.js';
import { isObject } from '../values/json.js';
import { isSameMount, restoreItems } from './drift.js';
import type { SidecarContainer, SidecarProbe } from './sidecar.js';
import { keepMessagePath, limitLifecycle, limitSecurityContext, runsProgram } from './sidecar-limits.js';
import { isAtOrBelow, normalizePath } from './taken-paths.js';

type Fields = Readonly<Record<string, unknown>>;

/** The existing sidecar with our stake in it restored; the same object if nothing differs. */
export function carryOver(existing: Container, wanted: SidecarContainer): Container {
  // Fields that injection reads of no other container, so that their shape is not known.
  const before = existing as unknown as Fields;
  const restored: Fields = {
    command: isSameTexts(before['command'], wanted.command) ? before['command'] : wanted.command,
    args: undefined,
    workingDir: undefined,
    restartPolicy: wanted.restartPolicy,
    env: restoreEnv(existing.env ?? [], wanted.env ?? []),
    envFrom: undefined,
    ports: followPort(existing.ports, wanted.ports?.[0]?.containerPort),
    volumeMounts: restoreMounts(existing.volumeMounts ?? [], wanted.volumeMounts ?? []),
    volumeDevices: undefined,
    livenessProbe: followProbe('healthz', existing, before['livenessProbe'], wanted.livenessProbe),
    startupProbe: followStartupProbe(existing, before['startupProbe'], wanted.startupProbe),
    readinessProbe: runsProgram(before['readinessProbe']) ? undefined : before['readinessProbe'],
    lifecycle: limitLifecycle(before['lifecycle']),
    terminationMessagePath: keepMessagePath(before['terminationMessagePath']),
    securityContext: limitSecurityContext(before['securityContext'], wanted.securityContext),
  };
  if (Object.entries(restored).every(([field, value]) => before[field] === value)) return existing;
  const entries = Object.entries({ ...before, ...restored }).filter(
    ([field, value]) => value !== undefined || !(field in restored),
  );
  return Object.fromEntries(entries) as unknown as Container;
}

function isSameTexts(existing: unknown, wanted: unknown): boolean {
  return (
    Array.isArray(existing) &&
    Array.isArray(wanted) &&
    existing.length === wanted.length &&
    wanted.every((text, index) => text === existing[index])
  );
}

/**
 * Variables that are written only where an annotation asks for them. Others that are not wanted come from the installation:
 * during an upgrade its replicas differ, and what one has written stays.
 */
const OPTIONAL_VARIABLES = new Set<string>([SIDECAR_ENV.organizations, SIDECAR_ENV.identities]);
/** Variables with which the dynamic linker, the C library, node or OpenSSL loads more code or another configuration. */
const LOADING_VARIABLE = /^(?:(?:LD|NODE|OPENSSL|SSL)_|(?:GCONV_PATH|GLIBC_TUNABLES|LOCPATH)$)/;

function restoreEnv(existing: readonly EnvVar[], wanted: readonly EnvVar[]): readonly EnvVar[] {
  const wantedByName = new Map(wanted.map((variable) => [variable.name, variable]));
  return restoreItems(existing, wanted, {
    findWanted: ({ name }) => wantedByName.get(name),
    isSame: (item, one) => item.value === one.value && (item.valueFrom ?? undefined) === undefined,
    isStale: ({ name }) => OPTIONAL_VARIABLES.has(name) || LOADING_VARIABLE.test(name),
  });
}

/** A mount of another volume at a path of ours is replaced: the API server takes one mount for each path. */
function restoreMounts(existing: readonly VolumeMount[], wanted: readonly VolumeMount[]): readonly VolumeMount[] {
  const wantedByName = new Map(wanted.map((mount) => [mount.name, mount]));
  const wantedByPath = new Map(wanted.map((mount) => [normalizePath(mount.mountPath), mount]));
  return restoreItems(existing, wanted, {
    findWanted: ({ name, mountPath }) => wantedByName.get(name) ?? wantedByPath.get(normalizePath(mountPath)),
    isSame: isSameMount,
    isStale: (mount) => !isExtraCa(mount) && (OUR_VOLUMES.has(mount.name) || isInTheWay(mount.mountPath)),
  });
}

/** Another replica may name the ConfigMap although this one does not. */
function isExtraCa(mount: VolumeMount): boolean {
  return isSameMount(mount, { name: VOLUME.extraCa, mountPath: EXTRA_CA_DIRECTORY, readOnly: true });
}

const KEPT_CLEAR = [...IMAGE_DIRECTORIES, STATE_DIRECTORY, TOKEN_DIRECTORY, API_TOKEN_DIRECTORY];

/**
 * Whether a mount of others would hide what the sidecar runs from, or change what it reads. Nobody writes a path with dots
 * for a good reason, and where a link is in it, only the runtime knows what it means.
 */
function isInTheWay(mountPath: string): boolean {
  const path = normalizePath(mountPath);
  return (
    mountPath.split('/').includes('..') || KEPT_CLEAR.some((one) => isAtOrBelow(path, one) || isAtOrBelow(one, path))
  );
}

/** The port of our name follows the settings. One that others removed does not come back, and theirs stay. */
function followPort(existing: Container['ports'], wanted: number | undefined): Container['ports'] {
  const isStale = ({ name, containerPort }: ContainerPort): boolean =>
    name === SIDECAR_PORT_NAME && containerPort !== wanted;
  if (wanted === undefined || existing?.some(isStale) !== true) return existing;
  return existing.map((port) => (isStale(port) ? { ...port, containerPort: wanted } : port));
}

/** The value of a variable of the existing sidecar, which says what the earlier pass was set to. */
function readEarlier(existing: Container, variable: string): string | undefined {
  return existing.env?.find(({ name }) => name === variable)?.value ?? undefined;
}

/** A startup probe comes and goes with the startup rule. One that others removed under the same rule does not come back. */
function followStartupProbe(sidecar: Container, existing: unknown, wanted: Fields | undefined): unknown {
  const isAbsent = existing === undefined || existing === null;
  if (!isAbsent) return followProbe('startz', sidecar, existing, wanted);
  return readEarlier(sidecar, SIDECAR_ENV.startup) === 'proceed' ? (wanted ?? existing) : existing;
}

/**
 * A probe stays as it is, unless it asks where the earlier pass let the sidecar listen: then it follows the settings, as the
 * kubelet would otherwise kill the sidecar. A probe that a mesh rewrote asks elsewhere. One that runs a program of others in
 * the sidecar is replaced.
 */
function followProbe(name: SidecarProbe, sidecar: Container, existing: unknown, wanted: Fields | undefined): unknown {
  if (!isObject(existing) || !(runsProgram(existing) || asksTheSidecar(name, sidecar, existing))) return existing;
  if (wanted === undefined) return undefined;
  if (isSameProbe(existing, wanted)) return existing;
  const { exec: _exec, httpGet: _httpGet, timeoutSeconds, ...others } = existing;
  const { exec, httpGet } = wanted;
  // A program takes longer to answer than a request.
  const timeout = Math.max(Number(timeoutSeconds ?? 1), Number(wanted['timeoutSeconds'] ?? 1));
  return { ...(exec === undefined ? { httpGet } : { exec }), timeoutSeconds: timeout, ...others };
}

/** Whether a probe still has the form that we write, for the port of the earlier pass. */
function asksTheSidecar(name: SidecarProbe, sidecar: Container, { httpGet }: Fields): boolean {
  const port = Number(readEarlier(sidecar, SIDECAR_ENV.port));
  return isSameGet(httpGet, { path: `/${name}`, port, scheme: 'HTTP' });
}

/** Whether a probe runs the wanted program, or asks the wanted request. */
function isSameProbe({ exec, httpGet }: Fields, wanted: Fields): boolean {
  if (!isObject(wanted['exec'])) return !isObject(exec) && isSameGet(httpGet, wanted['httpGet']);
  return isObject(exec) && isSameTexts(exec['command'], wanted['exec']['command']);
}

function isSameGet(existing: unknown, wanted: unknown): boolean {
  if (!isObject(existing) || !isObject(wanted)) return false;
  const { path, port, scheme, host, httpHeaders } = existing;
  const isPlain = (host ?? '') === '' && (httpHeaders === undefined || httpHeaders === null);
  return isPlain && path === wanted['path'] && port === wanted['port'] && (scheme ?? 'HTTP') === wanted['scheme'];
}

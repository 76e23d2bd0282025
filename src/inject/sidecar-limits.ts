/**
 * Limits of what others may change on the sidecar: what would run a program in its container, show its files outside, or give
 * it more privileges than ours. PURE.
 */
import { isObject } from '../values/json.js';

type Fields = Readonly<Record<string, unknown>>;

/** The API server's default, which every pass after the first one finds. */
const DEFAULT_MESSAGE_PATH = '/dev/termination-log';

/** The kubelet shows the file at another path to everyone who may read the pod. */
export function keepMessagePath(existing: unknown): unknown {
  return existing === DEFAULT_MESSAGE_PATH ? existing : undefined;
}

/** Whether a probe, or a hook of the container's lifecycle, runs a program in the container. */
export function runsProgram(handler: unknown): handler is Fields {
  return isObject(handler) && (handler['exec'] ?? undefined) !== undefined;
}

/** The lifecycle without hooks that run a program; the same object if there is none. */
export function limitLifecycle(existing: unknown): unknown {
  if (!isObject(existing) || !Object.values(existing).some(runsProgram)) return existing;
  const kept = Object.entries(existing).filter(([, hook]) => !runsProgram(hook));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** Fields of the security context whose value of others stays only if it gives no more than ours. */
const SECURITY_LIMITS: Readonly<Record<string, (value: unknown) => boolean>> = {
  privileged: (value) => value !== true,
  allowPrivilegeEscalation: (value) => value === false,
  readOnlyRootFilesystem: (value) => value === true,
  capabilities: dropsAll,
  procMount: (value) => (value ?? 'Default') === 'Default',
  seccompProfile: (value) => isObject(value) && value['type'] !== 'Unconfined',
  appArmorProfile: (value) => !isObject(value) || value['type'] !== 'Unconfined',
};

/**
 * The security context as others left it, but for what gives more than ours; the same object if nothing does. User, groups and
 * SELinux options stay: OpenShift's SCC sets them.
 */
export function limitSecurityContext(existing: unknown, ours: object | undefined): unknown {
  const before: Fields = isObject(existing) ? existing : {};
  const beyond = Object.entries(SECURITY_LIMITS).filter(([field, isWithin]) => !isWithin(before[field]));
  if (beyond.length === 0) return existing;
  const wanted = ours as Fields | undefined;
  const limited = { ...before, ...Object.fromEntries(beyond.map(([field]) => [field, wanted?.[field]])) };
  return Object.fromEntries(Object.entries(limited).filter(([, value]) => value !== undefined));
}

function dropsAll(capabilities: unknown): boolean {
  if (!isObject(capabilities)) return false;
  const { add, drop } = capabilities;
  const addsNone = (add ?? undefined) === undefined || (Array.isArray(add) && add.length === 0);
  return addsNone && Array.isArray(drop) && drop.includes('ALL');
}

/** Who is injected, and why not, with the sentence for each reason. PURE. */
import { GITCONFIG_PATH, GITCONFIG_SYSTEM_PATH } from '../git/gitconfig.js';
import type { Pod } from '../kubernetes/types.js';
import {
  ANNOTATION,
  AZURE_ANNOTATION,
  CONFIG_DIRECTORY,
  INJECT,
  MIRROR_ANNOTATION,
  OUR_VOLUMES,
  PRODUCT,
  SIDECAR_CONTAINER,
  STATE_DIRECTORY,
  SYSTEM_GITCONFIG,
  USE_LABEL,
  WRITTEN_ANNOTATION,
} from '../names.js';
import { truncate } from '../values/text.js';
import { type ContainerRef, isEarlierPass, listUserContainers, readTexts } from './candidate.js';
import {
  DENIED_REASONS,
  PASSING_REASONS,
  type Reason,
  type RefusalReason,
  type Refused,
  type Skipped,
  type SkipReason,
} from './reasons.js';
import type { Settings } from './settings.js';

/**
 * Whether the pod is meant to be injected at all. The webhook's configuration asks the same of the API server; here it
 * is asked again, since configurations can be changed, and for `inject` on files.
 */
export function decideToSkip(pod: unknown, description: string): Skipped | undefined {
  const labels = readTexts(pod, 'labels');
  const annotations = readTexts(pod, 'annotations');
  const skip = (reason: SkipReason, why: string): Skipped => ({
    kind: 'skipped',
    reason,
    message: `${description}: ${why}`,
  });
  if (labels[USE_LABEL] !== 'true') return skip('not-labelled', `has no label ${USE_LABEL}: "true"`);
  if (annotations[MIRROR_ANNOTATION] !== undefined)
    return skip('mirror-pod', 'is the mirror of a static pod, which the API server must not change');
  if (annotations[INJECT] === 'disabled') return skip('disabled', `annotation ${INJECT} is disabled`);
  return undefined;
}

/** Which answer a refusal gets. */
export function decideAnswer(reason: RefusalReason, pod: unknown): Refused['answer'] {
  if (isOneOf(PASSING_REASONS, reason)) return 'retry';
  if (isOneOf(DENIED_REASONS, reason)) return 'deny';
  const annotations = readTexts(pod, 'annotations');
  const asksByName = annotations[INJECT] === 'enabled';
  // After an earlier pass the pod already holds our sidecar: admitting it would leave it half served.
  return asksByName || annotations[WRITTEN_ANNOTATION.status] !== undefined ? 'deny' : 'admit';
}

function isOneOf<T extends Reason>(reasons: readonly T[], reason: Reason): reason is T {
  return reasons.some((one) => one === reason);
}

type Refusal = { readonly reason: RefusalReason; readonly message: string } | undefined;

/** What in the pod itself keeps it from being served, before any setting is read. */
export function findPodRefusal(pod: Pod, description: string): Refusal {
  const os = pod.spec.os?.name ?? pod.spec.nodeSelector?.['kubernetes.io/os'];
  if (os === 'windows') {
    return {
      reason: 'windows',
      message: `${description}: Windows pods can't be served; set annotation ${INJECT}: disabled`,
    };
  }
  const earlierPass = isEarlierPass(pod);
  for (const annotation of [
    WRITTEN_ANNOTATION.gitconfig,
    WRITTEN_ANNOTATION.helper,
    WRITTEN_ANNOTATION.gitconfigSystem,
  ]) {
    if (!earlierPass && pod.metadata.annotations?.[annotation] !== undefined) {
      return {
        reason: 'reserved-annotation',
        message: `${description}: annotation ${annotation} is written by ${PRODUCT} alone; remove it`,
      };
    }
  }
  return findTakenName(pod, description, earlierPass);
}

function findTakenName(pod: Pod, description: string, earlierPass: boolean): Refusal {
  const taken = (what: string): Refusal => ({
    reason: 'name-taken',
    message: `${description}: ${what}; rename it: the name is ${PRODUCT}'s`,
  });
  for (const { list, index, container } of listUserContainers(pod)) {
    const place = `spec.${list}[${index}] ${truncate(container.name)}`;
    if (container.name === SIDECAR_CONTAINER) return taken(`${place} has the sidecar's name`);
    const mount = container.volumeMounts?.find(({ name }) => OUR_VOLUMES.has(name));
    if (!earlierPass && mount !== undefined) return taken(`${place} mounts the volume ${mount.name}`);
  }
  const volume = pod.spec.volumes?.find(({ name }) => OUR_VOLUMES.has(name));
  return !earlierPass && volume !== undefined ? taken(`spec.volumes holds ${volume.name}`) : undefined;
}

/** What keeps the pod from being served with these settings. */
export function findSettingsRefusal(
  pod: Pod,
  settings: Settings,
  configured: readonly ContainerRef[],
  description: string,
): Refusal {
  if (configured.length === 0) {
    return {
      reason: 'no-containers',
      message: `${description}: no container is left to configure; see annotations ${ANNOTATION.containers} and ${AZURE_ANNOTATION.skipContainers}`,
    };
  }
  const proxy = findMeshProxy(pod);
  if (settings.startup === 'require' && proxy !== undefined) {
    return {
      reason: 'startup-without-network',
      message: `${description}: annotation ${ANNOTATION.startup} "require" can't hold with ${proxy} as a plain container: there is no network before it runs; write proceed, or make the proxy a native sidecar`,
    };
  }
  return (
    findTakenPort(pod, settings, description) ??
    findTakenPath(settings, configured, description) ??
    findTakenVariable(pod, configured, description)
  );
}

/** A plain container through which all traffic of the pod goes: before it runs, there is no network. */
export function findMeshProxy(pod: Pod): string | undefined {
  return pod.spec.containers.find(({ name }) => name === 'istio-proxy' || name === 'linkerd-proxy')?.name;
}

function findTakenPort(pod: Pod, settings: Settings, description: string): Refusal {
  if (pod.spec.hostNetwork === true) return undefined;
  for (const { container } of listUserContainers(pod)) {
    if (container.ports?.some(({ containerPort }) => containerPort === settings.port) === true) {
      return {
        reason: 'port-taken',
        message: `${description}: container ${truncate(container.name)} has containerPort ${settings.port}, which is the sidecar's; set annotation ${ANNOTATION.port} to another port`,
      };
    }
  }
  return undefined;
}

function findTakenPath(settings: Settings, configured: readonly ContainerRef[], description: string): Refusal {
  const paths = [STATE_DIRECTORY, CONFIG_DIRECTORY];
  const files = settings.gitConfig !== 'auto' && settings.gitConfig.includes('file') ? [SYSTEM_GITCONFIG] : [];
  for (const { container } of configured) {
    for (const { name, mountPath } of container.volumeMounts ?? []) {
      const path = normalizePath(mountPath);
      const within = [...paths, ...files].find((one) => path === one || path.startsWith(`${one}/`));
      if (within === undefined || OUR_VOLUMES.has(name)) continue;
      return {
        reason: 'path-taken',
        message: `${description}: container ${truncate(container.name)} mounts the volume ${truncate(name)} at ${truncate(mountPath)}, which is ${PRODUCT}'s path; mount it elsewhere, or leave the container out with annotation ${AZURE_ANNOTATION.skipContainers}`,
      };
    }
  }
  return undefined;
}

/** Variables that name our files are ours on the next pass; without a status they are somebody else's. */
function findTakenVariable(pod: Pod, configured: readonly ContainerRef[], description: string): Refusal {
  if (isEarlierPass(pod)) return undefined;
  for (const { container } of configured) {
    const variable = container.env?.find(({ value }) => value === GITCONFIG_PATH || value === GITCONFIG_SYSTEM_PATH);
    if (variable === undefined) continue;
    return {
      reason: 'path-taken',
      message: `${description}: container ${truncate(container.name)} sets ${truncate(variable.name)} to ${variable.value ?? ''}, which is ${PRODUCT}'s path; remove it`,
    };
  }
  return undefined;
}

/** Without doubled slashes and dots; `/run` and `/var/run` are one folder in most images. */
function normalizePath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments[0] === 'run' ? 'var/' : ''}${segments.join('/')}`;
}

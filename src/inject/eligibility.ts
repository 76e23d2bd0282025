/** Who is injected, who is not, and how a refusal is answered. PURE. */
import {
  ANNOTATION,
  AZURE_ANNOTATION,
  INJECT,
  MIRROR_ANNOTATION,
  PRODUCT,
  SIDECAR_CONTAINER,
  USE_LABEL,
  WRITTEN_ANNOTATION,
} from '../names.js';
import { quote } from '../values/text.js';
import { findTakenName, findTakenPort, findTakenVariable } from './conflicts.js';
import { type ContainerRef, describeUnknownNames, isSidecar } from './containers.js';
import { findMeshProxy } from './mesh.js';
import { requiresWindows } from './operating-system.js';
import type { CheckedPod } from './pod-shape.js';
import { joinFindings, type Source } from './read-annotations.js';
import {
  DENIED_REASONS,
  PASSING_REASONS,
  type PodRefusal,
  type Reason,
  type Refusal,
  type RefusalReason,
  type Refused,
  type Skipped,
  type SkipReason,
} from './reasons.js';
import type { Settings } from './settings.js';
import { isEarlierPass } from './status-annotation.js';
import { findReadOnlyParent, findTakenPath } from './taken-paths.js';

type TextMap = Readonly<Record<string, string>>;

/**
 * Why the pod is not meant to be injected. The webhook's configuration makes the API server apply the same conditions. They
 * are checked again here, since a configuration can be changed, and for `inject` on files.
 *
 * @param use value of the label by which pods ask for an identity.
 */
export function decideToSkip(use: unknown, annotations: TextMap, description: string): Skipped | undefined {
  const skip = (reason: SkipReason, clause: string): Skipped => ({
    kind: 'skipped',
    reason,
    message: `${description}: ${clause}`,
  });
  if (use === undefined) return skip('not-labelled', `has no label ${USE_LABEL}: "true"`);
  if (use !== 'true') {
    const found = quote(typeof use === 'string' ? use : JSON.stringify(use));
    return skip('not-labelled', `has the label ${USE_LABEL}: ${found}; write ${USE_LABEL}: "true"`);
  }
  if (annotations[MIRROR_ANNOTATION] !== undefined)
    return skip('mirror-pod', 'is the mirror of a static pod, which must not be changed');
  if (annotations[INJECT] === 'disabled') return skip('disabled', `annotation ${INJECT} is disabled`);
  return undefined;
}

/** The refusal with its answer. A malformed annotation of the group is reported before any other cause. */
export function refuse(pod: Source, refusal: Refusal): Refused {
  const malformed =
    refusal.reason === 'invalid-annotation' ? undefined : joinFindings('invalid-annotation', pod.findings);
  const { reason, subject, message } = malformed ?? refusal;
  return { kind: 'refused', reason, subject, message, answer: chooseAnswer(reason, pod.annotations) };
}

/** As {@link refuse}, for a cause in the pod itself. */
export function refusePod(pod: Source, { reason, clause }: PodRefusal): Refused {
  return refuse(pod, { reason, subject: 'pod', message: `${pod.description}: ${clause}` });
}

function chooseAnswer(reason: RefusalReason, annotations: TextMap): Refused['answer'] {
  if (isOneOf(PASSING_REASONS, reason)) return 'retry';
  if (isOneOf(DENIED_REASONS, reason)) return 'deny';
  if (annotations[INJECT] === 'enabled') return 'deny';
  // After an earlier pass the pod already has our sidecar: admitted, it would be served only in part.
  return annotations[WRITTEN_ANNOTATION.status] === undefined ? 'admit' : 'deny';
}

function isOneOf<T extends Reason>(reasons: readonly T[], reason: Reason): reason is T {
  return reasons.some((one) => one === reason);
}

/** Annotations of ours that only an earlier pass may have written. */
const RESERVED = [WRITTEN_ANNOTATION.gitconfig, WRITTEN_ANNOTATION.helper, WRITTEN_ANNOTATION.gitconfigSystem];

const MAX_SIDECARS = 8;

/** Why the pod itself can't be served, whatever its settings are. */
export function findPodRefusal(pod: CheckedPod, containers: readonly ContainerRef[]): PodRefusal | undefined {
  if (requiresWindows(pod, containers)) {
    return { reason: 'windows', clause: `Windows pods can't be served; set annotation ${INJECT}: disabled` };
  }
  const reserved = RESERVED.find((annotation) => pod.metadata.annotations?.[annotation] !== undefined);
  if (reserved !== undefined && !isEarlierPass(pod)) {
    return { reason: 'reserved-annotation', clause: `annotation ${reserved} is written by ${PRODUCT} only; remove it` };
  }
  // Each is removed by an operation of its own, and no webhook copies ours so often.
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).length;
  if (sidecars > MAX_SIDECARS) {
    const clause = `spec.initContainers has ${sidecars} containers ${SIDECAR_CONTAINER}; remove all but one`;
    return { reason: 'malformed-pod', clause };
  }
  return findTakenName(pod, containers);
}

/** Why the pod can't be served with these settings. */
export function findSettingsRefusal(
  pod: CheckedPod,
  containers: readonly ContainerRef[],
  configured: readonly ContainerRef[],
  settings: Settings,
): PodRefusal | undefined {
  if (configured.length === 0) {
    const unknown = describeUnknownNames(containers, settings);
    const cause =
      unknown.length > 0
        ? unknown.join('; ')
        : `see annotations ${ANNOTATION.containers} and ${AZURE_ANNOTATION.skipContainers}`;
    return { reason: 'no-containers', clause: `no container is left to configure; ${cause}` };
  }
  return (
    findMissingNetwork(pod, settings) ??
    findTakenPort(pod, containers, settings.port) ??
    findTakenPath(configured, settings.gitConfig) ??
    findReadOnlyParent(pod, configured) ??
    findTakenVariable(pod, configured)
  );
}

function findMissingNetwork(pod: CheckedPod, { startup }: Settings): PodRefusal | undefined {
  const proxy = findMeshProxy(pod);
  if (startup !== 'require' || proxy === undefined) return undefined;
  return {
    reason: 'startup-without-network',
    clause: `annotation ${ANNOTATION.startup} "require" is not possible with ${proxy} as a plain container: there is no network before it runs; set proceed, or make the proxy a native sidecar`,
  };
}

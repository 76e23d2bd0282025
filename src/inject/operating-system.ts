/** Whether a pod is for Windows, in whichever way it says so. PURE. */
import type { NodeSelectorRequirement, NodeSelectorTerm } from '../kubernetes/types.js';
import type { ContainerRef } from './containers.js';
import type { CheckedPod } from './pod-shape.js';

/** Labels of nodes that name the operating system; the second is the older name of the first. */
const OS_LABELS = ['kubernetes.io/os', 'beta.kubernetes.io/os'] as const;
/** Only nodes with Windows have this label. */
const WINDOWS_BUILD_LABEL = 'node.kubernetes.io/windows-build';
const WINDOWS = 'windows';

/**
 * Whether the pod can only run on Windows. Where `spec.os` or a node selector names another system that decides, since
 * Kubernetes then ignores `windowsOptions`.
 */
export function requiresWindows({ spec }: CheckedPod, containers: readonly ContainerRef[]): boolean {
  const chosen = [spec.os?.name, ...OS_LABELS.map((label) => spec.nodeSelector?.[label])];
  const named = chosen.find((name) => name !== undefined && name !== null && name !== '');
  if (named !== undefined) return named === WINDOWS;
  if (spec.nodeSelector?.[WINDOWS_BUILD_LABEL] !== undefined) return true;
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  // A term without requirements matches no node.
  const possible = terms.filter((one) => [...(one.matchExpressions ?? []), ...(one.matchFields ?? [])].length > 0);
  if (possible.length > 0 && possible.every(isForWindows)) return true;
  return [spec, ...containers.map(({ container }) => container)].some(
    ({ securityContext }) => Object.keys(securityContext?.windowsOptions ?? {}).length > 0,
  );
}

function isForWindows({ matchExpressions }: NodeSelectorTerm): boolean {
  return (matchExpressions ?? []).some(isRequirementForWindows);
}

/** Nodes have one of two systems: `NotIn [linux]` leaves Windows. */
function isRequirementForWindows({ key, operator, values }: NodeSelectorRequirement): boolean {
  if (key === WINDOWS_BUILD_LABEL) return operator !== 'DoesNotExist' && operator !== 'NotIn';
  if (!OS_LABELS.some((label) => label === key)) return false;
  const names = values ?? [];
  if (operator === 'In') return names.length > 0 && names.every((name) => name === WINDOWS);
  return operator === 'NotIn' && names.includes('linux');
}

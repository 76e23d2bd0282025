/** Examines a pod once: skipped, refused, or a candidate whose service account is looked up next. PURE. */
import { GROUP, USE_LABEL } from '../names.js';
import { type ContainerRef, listUserContainers } from './containers.js';
import { decideToSkip, findPodRefusal, refusePod } from './eligibility.js';
import { type CheckedPod, describePod, findTextProblem, parsePod, readValues } from './pod-shape.js';
import { findLimitingLabels, pickAnnotations, readSource, type Source } from './read-annotations.js';
import type { Refused, Skipped } from './reasons.js';

/** A pod in which nothing was found that keeps it from being injected. */
export interface Candidate {
  readonly kind: 'candidate';
  readonly namespace: string;
  readonly serviceAccountName: string;
  readonly pod: CheckedPod;
  /** All containers of the user's, init containers first. */
  readonly containers: readonly ContainerRef[];
  /** The pod's annotations. */
  readonly source: Source;
}

/**
 * Examines all of a pod that can be judged without its service account. It never throws, and does not change its input.
 *
 * @param raw JSON from outside, of any shape.
 * @param namespace of the request: at creation, the pod's own is often empty.
 * @param description names the pod in messages; by default its namespace and name.
 */
export function examinePod(
  raw: unknown,
  namespace: string,
  description = describePod(raw, namespace),
): Skipped | Refused | Candidate {
  const annotations = pickAnnotations(readValues(raw, 'annotations'));
  const labels = readValues(raw, 'labels');
  const use = labels[USE_LABEL];
  const skipped = decideToSkip(use, annotations, description);
  // An unquoted `true` in a file asks for an identity, though the API server would refuse it.
  if (skipped !== undefined && use !== true) return skipped;
  const read = readSource('pod', description, annotations);
  const source = { ...read, findings: [...read.findings, ...findLimitingLabels(description, labels)] };
  const parsed = parsePod(raw);
  if ('problem' in parsed) {
    const reason = hasMalformedAnnotation(raw) ? 'invalid-annotation' : 'malformed-pod';
    return refusePod(source, { reason, clause: parsed.problem });
  }
  const { pod } = parsed;
  const containers = listUserContainers(pod);
  const refusal = findPodRefusal(pod, containers);
  if (refusal !== undefined) return refusePod(source, refusal);
  return { kind: 'candidate', namespace, serviceAccountName: nameServiceAccount(pod), pod, containers, source };
}

/** Whether an annotation of the group has a value that is not a text. */
function hasMalformedAnnotation(raw: unknown): boolean {
  const annotations = readValues(raw, 'annotations');
  return Object.keys(annotations).some(
    (name) => name.startsWith(`${GROUP}/`) && findTextProblem(annotations[name]) !== undefined,
  );
}

function nameServiceAccount({ spec }: CheckedPod): string {
  const name = spec.serviceAccountName ?? '';
  return name === '' ? 'default' : name;
}

/** The containers of a pod, and where each is found by a patch. PURE. */
import type { Container } from '../kubernetes/types.js';
import { ANNOTATION, AZURE_ANNOTATION, SIDECAR_CONTAINER } from '../names.js';
import { joinTruncated } from '../values/text.js';
import { joinPointer, ListEdit } from './patch.js';
import type { CheckedPod } from './pod-shape.js';
import type { Settings } from './settings.js';
import { isEarlierPass } from './status-annotation.js';

/** A container and its place in the pod. */
export interface ContainerRef {
  readonly list: 'initContainers' | 'containers';
  readonly index: number;
  readonly container: Container;
}

/** All containers of the user's, init containers first. */
export function listUserContainers(pod: CheckedPod): ContainerRef[] {
  const all = (['initContainers', 'containers'] as const).flatMap((list) =>
    (pod.spec[list] ?? []).map((container, index) => ({ list, index, container })),
  );
  if (!isEarlierPass(pod)) return all;
  return all.filter(({ list, container }) => list === 'containers' || !isSidecar(container));
}

export function isSidecar({ name }: Container): boolean {
  return name === SIDECAR_CONTAINER;
}

/** The edit of the init containers. It is never written as a whole, as other edits change the containers in it. */
export function createInitContainersEdit({ spec }: CheckedPod): ListEdit<Container> {
  const path = joinPointer('spec', 'initContainers');
  return new ListEdit(path, spec.initContainers, path, false);
}

/** Names a container in the status: its JSON pointer with its name for its index, which others may shift. */
export function nameContainer({ list, container }: ContainerRef): string {
  return joinPointer('spec', list, container.name);
}

/** A clause for each annotation that names containers which the pod does not have. */
export function describeUnknownNames(
  all: readonly ContainerRef[],
  { containers, skipContainers }: Pick<Settings, 'containers' | 'skipContainers'>,
): string[] {
  const known = new Set(all.map(({ container }) => container.name));
  const describe = (annotation: string, names: readonly string[]): string[] => {
    const unknown = names.filter((name) => !known.has(name));
    if (unknown.length === 0) return [];
    return [
      `annotation ${annotation} names ${joinTruncated(unknown)}, but the pod's containers are ${joinTruncated(known)}`,
    ];
  };
  return [
    ...describe(ANNOTATION.containers, containers ?? []),
    ...describe(AZURE_ANNOTATION.skipContainers, skipContainers),
  ];
}

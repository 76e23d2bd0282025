/** Takes our items out of a pod again. PURE. */
import type { Container } from '../kubernetes/types.js';
import { INJECTED_LABEL, OUR_VOLUMES, SIDECAR_CONTAINER, WRITTEN_ANNOTATION } from '../names.js';
import { asPod, findPodProblem, formerPointer, isEarlierPass, listUserContainers } from './candidate.js';
import { configureMounts, withoutOurEnv } from './git-channels.js';
import { ListEdit, MapEdit, type Operation, pointer } from './patch.js';
import { readFormerlyEmpty } from './status-annotation.js';

/**
 * The patch that takes out what injection added, or `undefined` for a pod that was not injected. Pull secrets stay: they
 * can't be told from the user's own.
 */
export function uninjectPod(raw: unknown): readonly Operation[] | undefined {
  if (findPodProblem(raw) !== undefined) return undefined;
  const pod = asPod(raw);
  if (!isEarlierPass(pod)) return undefined;
  const empty = readFormerlyEmpty(pod);
  const operations: Operation[] = [];
  const initContainers = new ListEdit(pointer('spec', 'initContainers'), pod.spec.initContainers);
  const isSidecar = ({ name }: Container): boolean => name === SIDECAR_CONTAINER;

  for (const { list, index, container } of listUserContainers(pod)) {
    const path = pointer('spec', list, index);
    const former = formerPointer(pod, list, index);
    const env = new ListEdit(`${path}/env`, container.env);
    withoutOurEnv(env);
    operations.push(...env.finish(empty[`${former}/env`]));
    const mounts = new ListEdit(`${path}/volumeMounts`, container.volumeMounts);
    configureMounts(mounts, []);
    operations.push(...mounts.finish(empty[`${former}/volumeMounts`]));
  }
  initContainers.removeAll(isSidecar);
  operations.push(...initContainers.finish(empty[initContainers.path]));

  const volumes = new ListEdit(pointer('spec', 'volumes'), pod.spec.volumes);
  volumes.removeAll(({ name }) => OUR_VOLUMES.has(name));
  operations.push(...volumes.finish(empty[volumes.path]));

  const annotations = new MapEdit(pointer('metadata', 'annotations'), pod.metadata.annotations);
  for (const annotation of Object.values(WRITTEN_ANNOTATION)) annotations.set(annotation, undefined);
  operations.push(...annotations.finish(empty[annotations.path]));
  const labels = new MapEdit(pointer('metadata', 'labels'), pod.metadata.labels);
  labels.set(INJECTED_LABEL, undefined);
  operations.push(...labels.finish(empty[labels.path]));
  return operations;
}

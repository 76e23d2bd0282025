/** Takes our items out of an injected pod. PURE. */
import { INJECTED_LABEL, OUR_VOLUMES, WRITTEN_ANNOTATION } from '../names.js';
import { createInitContainersEdit, isSidecar, listUserContainers, nameContainer } from './containers.js';
import { configureMounts } from './git-channels.js';
import { removeOurEnv } from './git-environment.js';
import { joinPointer, ListEdit, MapEdit, type Operation } from './patch.js';
import { parsePod } from './pod-shape.js';
import { isEarlierPass, readFormerlyEmpty } from './status-annotation.js';

/**
 * The patch that removes what injection added, or `undefined` for a pod that was not injected. Pull secrets stay: they
 * can't be distinguished from the user's own.
 */
export function uninjectPod(raw: unknown): readonly Operation[] | undefined {
  const parsed = parsePod(raw);
  if ('problem' in parsed || !isEarlierPass(parsed.pod)) return undefined;
  const { pod } = parsed;
  const empty = readFormerlyEmpty(pod);
  const operations: Operation[] = [];

  for (const ref of listUserContainers(pod)) {
    const { list, index, container } = ref;
    const path = joinPointer('spec', list, index);
    const former = nameContainer(ref);
    const env = new ListEdit(`${path}/env`, container.env);
    removeOurEnv(env);
    operations.push(...env.finish(empty[`${former}/env`]));
    const mounts = new ListEdit(`${path}/volumeMounts`, container.volumeMounts);
    configureMounts(mounts, []);
    operations.push(...mounts.finish(empty[`${former}/volumeMounts`]));
  }
  const initContainers = createInitContainersEdit(pod);
  initContainers.removeAll(isSidecar);
  operations.push(...initContainers.finish(empty[initContainers.path]));

  const volumes = new ListEdit(joinPointer('spec', 'volumes'), pod.spec.volumes);
  volumes.removeAll(({ name }) => OUR_VOLUMES.has(name));
  operations.push(...volumes.finish(empty[volumes.path]));

  const annotations = new MapEdit(joinPointer('metadata', 'annotations'), pod.metadata.annotations);
  for (const annotation of Object.values(WRITTEN_ANNOTATION)) annotations.set(annotation, undefined);
  operations.push(...annotations.finish(empty[annotations.path]));
  const labels = new MapEdit(joinPointer('metadata', 'labels'), pod.metadata.labels);
  labels.set(INJECTED_LABEL, undefined);
  operations.push(...labels.finish(empty[labels.path]));
  return operations;
}

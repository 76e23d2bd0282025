/** Finds what in a pod is in the way of what injection adds: names, ports and variables that are taken. PURE. */
import { GITCONFIG_PATH, GITCONFIG_SYSTEM_PATH } from '../git/gitconfig.js';
import { ANNOTATION, OUR_VOLUMES, PRODUCT } from '../names.js';
import { showName } from '../values/text.js';
import { type ContainerRef, isSidecar } from './containers.js';
import type { CheckedPod } from './pod-shape.js';
import type { PodRefusal } from './reasons.js';
import { isEarlierPass } from './status-annotation.js';

/** A container or volume of the user's with a name of ours. After an earlier pass, volumes of these names are ours. */
export function findTakenName(pod: CheckedPod, containers: readonly ContainerRef[]): PodRefusal | undefined {
  const earlierPass = isEarlierPass(pod);
  const refuseName = (clause: string): PodRefusal => ({
    reason: 'name-taken',
    clause: `${clause}; rename it: the name is reserved for ${PRODUCT}`,
  });
  for (const { list, index, container } of containers) {
    const place = (): string => `spec.${list}[${index}] ${showName(container.name)}`;
    if (isSidecar(container)) return refuseName(`${place()} has the sidecar's name`);
    if (earlierPass) continue;
    const mount = container.volumeMounts?.find(({ name }) => OUR_VOLUMES.has(name));
    if (mount !== undefined) return refuseName(`${place()} mounts the volume ${mount.name}`);
  }
  const ephemeral = findEphemeralMount(pod);
  if (ephemeral !== undefined) return refuseName(ephemeral);
  if (earlierPass) return undefined;
  const volume = pod.spec.volumes?.find(({ name }) => OUR_VOLUMES.has(name));
  return volume === undefined ? undefined : refuseName(`spec.volumes holds ${volume.name}`);
}

/** An ephemeral container that mounts a volume of ours: none is ever configured, so the mount is nobody's but the user's. */
function findEphemeralMount({ spec }: CheckedPod): string | undefined {
  for (const [index, { name, volumeMounts }] of (spec.ephemeralContainers ?? []).entries()) {
    const mount = volumeMounts?.find((one) => OUR_VOLUMES.has(one.name));
    if (mount === undefined) continue;
    return `spec.ephemeralContainers[${index}] ${showName(name)} mounts the volume ${mount.name}`;
  }
  return undefined;
}

/** A container that declares the sidecar's port. */
export function findTakenPort(
  pod: CheckedPod,
  containers: readonly ContainerRef[],
  port: number,
): PodRefusal | undefined {
  if (pod.spec.hostNetwork === true) return undefined;
  const taken = containers.find(({ container }) =>
    container.ports?.some(({ containerPort }) => containerPort === port),
  );
  if (taken === undefined) return undefined;
  return {
    reason: 'port-taken',
    clause: `container ${showName(taken.container.name)} has containerPort ${port}, which is the sidecar's; set annotation ${ANNOTATION.port} to another port`,
  };
}

/** A variable that names one of our files; after an earlier pass, it is ours. */
export function findTakenVariable(pod: CheckedPod, configured: readonly ContainerRef[]): PodRefusal | undefined {
  if (isEarlierPass(pod)) return undefined;
  for (const { container } of configured) {
    const variable = container.env?.find(({ value }) => value === GITCONFIG_PATH || value === GITCONFIG_SYSTEM_PATH);
    if (variable === undefined) continue;
    return {
      reason: 'path-taken',
      clause: `container ${showName(container.name)} sets ${showName(variable.name)} to ${variable.value ?? ''}, which is ${PRODUCT}'s path; remove it`,
    };
  }
  return undefined;
}

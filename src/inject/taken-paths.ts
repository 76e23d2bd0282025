/** Mounts of the user's that are in the way of ours: at our paths, or read-only above them. PURE. */
import type { Volume, VolumeMount } from '../kubernetes/types.js';
import {
  AZURE_ANNOTATION,
  type Channel,
  CONFIG_DIRECTORY,
  OUR_VOLUMES,
  PRODUCT,
  STATE_DIRECTORY,
  SYSTEM_GITCONFIG,
} from '../names.js';
import { isObject } from '../values/json.js';
import { showName } from '../values/text.js';
import type { ContainerRef } from './containers.js';
import type { CheckedPod } from './pod-shape.js';
import type { PodRefusal } from './reasons.js';

/** A configured container with a mount or a block device of its own at one of our paths. */
export function findTakenPath(
  configured: readonly ContainerRef[],
  gitConfig: 'auto' | readonly Channel[],
): PodRefusal | undefined {
  const coversSystemFile = gitConfig !== 'auto' && gitConfig.includes('file');
  const ours = [STATE_DIRECTORY, CONFIG_DIRECTORY, ...(coversSystemFile ? [SYSTEM_GITCONFIG] : [])];
  const isOurs = (path: string): boolean => ours.some((one) => isAtOrBelow(path, one));
  for (const { container } of configured) {
    const mount = container.volumeMounts?.find(
      ({ name, mountPath }) => !OUR_VOLUMES.has(name) && isOurs(normalizePath(mountPath)),
    );
    const device = container.volumeDevices?.find(({ devicePath }) => isOurs(normalizePath(devicePath)));
    const taken = mount ?? device;
    if (taken === undefined) continue;
    const [kind, path] = 'mountPath' in taken ? ['volume', taken.mountPath] : ['block device', taken.devicePath];
    return {
      reason: 'path-taken',
      clause: `container ${showName(container.name)} mounts the ${kind} ${showName(taken.name)} at ${showName(path)}, which is ${PRODUCT}'s path; mount it elsewhere, or leave the container out with annotation ${AZURE_ANNOTATION.skipContainers}`,
    };
  }
  return undefined;
}

/**
 * A configured container with a read-only mount above one of our paths, in which the runtime can't create our folder: the
 * container would never start (kubernetes/kubernetes#121294).
 */
export function findReadOnlyParent(pod: CheckedPod, configured: readonly ContainerRef[]): PodRefusal | undefined {
  const sources = readSources(pod.spec.volumes ?? []);
  for (const { container } of configured) {
    for (const [path, mount] of findNearestParents(container.volumeMounts ?? [])) {
      if (!isClosed(mount, sources.get(mount.name))) continue;
      return {
        reason: 'path-taken',
        clause: `container ${showName(container.name)} mounts the volume ${showName(mount.name)} read-only at ${showName(mount.mountPath)}, where ${path} can't be created; mount it without readOnly or elsewhere, or leave the container out with annotation ${AZURE_ANNOTATION.skipContainers}`,
      };
    }
  }
  return undefined;
}

/** For each of our folders, the mount that holds the folder in which it is created: of several parents the nearest. */
function findNearestParents(mounts: readonly VolumeMount[]): ReadonlyMap<string, VolumeMount> {
  const nearest = new Map<string, VolumeMount>();
  const lengths = new Map<string, number>();
  for (const mount of mounts) {
    if (OUR_VOLUMES.has(mount.name)) continue;
    const parent = normalizePath(mount.mountPath);
    for (const path of [STATE_DIRECTORY, CONFIG_DIRECTORY]) {
      if (parent.length < (lengths.get(path) ?? 0) || !isAtOrBelow(path, parent)) continue;
      nearest.set(path, mount);
      lengths.set(path, parent.length);
    }
  }
  return nearest;
}

/** In volumes of these kinds the kubelet creates the folders of mounts below (`MakeNestedMountpoints`), but in no `subPath`. */
const PREPARED_BY_KUBELET = ['configMap', 'secret', 'downwardAPI', 'projected'];

/** What matters of a volume's sources. */
interface Sources {
  readonly isPrepared: boolean;
  readonly isReadOnly: boolean;
}

/** Each volume is read once, however many containers mount it. */
function readSources(volumes: readonly Volume[]): ReadonlyMap<string, Sources> {
  return new Map(
    volumes.map((volume) => {
      const sources = Object.entries(volume).filter(([, source]) => isObject(source));
      const isPrepared = sources.some(([kind]) => PREPARED_BY_KUBELET.includes(kind));
      const isReadOnly = sources.some(([kind, source]) => kind === 'image' || isReadOnlySource(source));
      return [volume.name, { isPrepared, isReadOnly }];
    }),
  );
}

/** Whether nobody can create a folder in what is mounted. */
function isClosed({ readOnly, subPath, subPathExpr }: VolumeMount, sources: Sources | undefined): boolean {
  if (sources === undefined) return false;
  if (sources.isPrepared && !subPath && !subPathExpr) return false;
  return readOnly === true || sources.isReadOnly;
}

/** A claim, CSI or network volume can be read-only by itself. */
function isReadOnlySource(source: unknown): boolean {
  return isObject(source) && source['readOnly'] === true;
}

/** Both normalized. */
export function isAtOrBelow(path: string, parent: string): boolean {
  return parent === '/' || path === parent || path.startsWith(`${parent}/`);
}

/** Neither a doubled slash nor a segment that begins with a dot, nor a slash at the end. */
const NORMAL_PATH = /^(?:\/[^/.][^/]*)+$/;

/** Without doubled slashes and dots. `/run` counts as `/var/run`: in most images they are one folder. */
export function normalizePath(path: string): string {
  if (NORMAL_PATH.test(path) && !isAtOrBelow(path, '/run')) return path;
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments[0] === 'run' ? 'var/' : ''}${segments.join('/')}`;
}

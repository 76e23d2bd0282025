/** Builds the patch of a pod from its settings and the plans of its containers. PURE. */
import { MAX_CONFIG_BYTES } from '../defaults.js';
import { renderHelper } from '../git/credential-helper.js';
import { renderGitconfig, renderGitconfigSystem } from '../git/gitconfig.js';
import type { Container } from '../kubernetes/types.js';
import { INJECTED_LABEL, WRITTEN_ANNOTATION } from '../names.js';
import { VERSION } from '../version.js';
import { carryOver } from './carry-over.js';
import { type ContainerRef, createInitContainersEdit, isSidecar, nameContainer } from './containers.js';
import { isSameSource } from './drift.js';
import { configureMounts, listMounts, type Plan } from './git-channels.js';
import { configureEnv } from './git-environment.js';
import { type Edit, type Empty, joinPointer, ListEdit, MapEdit, type Operation } from './patch.js';
import type { CheckedPod, Texts } from './pod-shape.js';
import type { Defaults, Settings } from './settings.js';
import { buildSidecar, type SidecarContainer } from './sidecar.js';
import { isEarlierPass, isPassOfThisVersion, readFormerlyEmpty, type Status } from './status-annotation.js';
import { buildVolumes } from './volumes.js';

/** The plan of each configured container. */
export type Plans = ReadonlyMap<Container, Plan>;

/** Texts of git's configuration, which reach the containers through the pod's annotations. */
export interface GitFiles {
  readonly gitconfig: string;
  readonly helper: string;
  readonly gitconfigSystem: string | undefined;
}

/** The texts; `undefined` where they would take more than a pod's annotations have room for. */
export function renderGitFiles(settings: Settings, plans: Plans): GitFiles | undefined {
  const gitconfig = renderGitconfig(settings.projects, MAX_CONFIG_BYTES);
  if (gitconfig === undefined) return undefined;
  const helper = renderHelper(settings);
  const gitconfigSystem = needsSystemFile(plans) ? renderGitconfigSystem() : undefined;
  const bytes = [gitconfig, helper, gitconfigSystem ?? ''].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return bytes > MAX_CONFIG_BYTES ? undefined : { gitconfig, helper, gitconfigSystem };
}

function needsSystemFile(plans: Plans): boolean {
  return [...plans.values()].some(({ channels }) => channels.has('system'));
}

interface Build {
  readonly pod: CheckedPod;
  readonly settings: Settings;
  readonly defaults: Defaults;
  /** All containers of the user's. */
  readonly containers: readonly ContainerRef[];
  readonly plans: Plans;
  readonly files: GitFiles;
}

/** Size of the patched pod's annotations, keys and values, as the API server counts it. */
export interface AnnotationsBytes {
  readonly all: number;
  readonly withoutOurs: number;
}

interface Built {
  readonly patch: readonly Operation[];
  readonly status: Status;
  readonly annotationsBytes: AnnotationsBytes;
}

/** The patch (RFC 6902) of the raw pod, and the status that it writes. */
export function buildPatch(build: Build): Built {
  const { pod, settings, containers, plans, files } = build;
  const operations: Operation[] = [];
  const empty: Record<string, Empty> = { ...readFormerlyEmpty(pod) };
  const finish = (edit: Edit): void => {
    if (edit.formerlyEmpty !== undefined) empty[edit.formerPath] = edit.formerlyEmpty;
    operations.push(...edit.finish(empty[edit.formerPath]));
  };
  for (const edit of editContainers(pod, containers, plans)) finish(edit);
  for (const edit of editSpec(build)) finish(edit);

  const annotations = new MapEdit(joinPointer('metadata', 'annotations'), pod.metadata.annotations);
  if (annotations.formerlyEmpty !== undefined) empty[annotations.formerPath] = annotations.formerlyEmpty;
  const status: Status = {
    version: VERSION,
    mode: 'helper',
    containers: containers.filter(({ container }) => plans.has(container)).map(({ container }) => container.name),
    clientId: settings.clientId,
    tenantId: settings.tenantId,
    ...(Object.keys(empty).length > 0 && { empty }),
  };
  const written = {
    [WRITTEN_ANNOTATION.status]: JSON.stringify(status),
    [WRITTEN_ANNOTATION.gitconfig]: files.gitconfig,
    [WRITTEN_ANNOTATION.helper]: files.helper,
    [WRITTEN_ANNOTATION.gitconfigSystem]: files.gitconfigSystem,
  };
  for (const [annotation, text] of Object.entries(written)) annotations.set(annotation, text);
  const labels = new MapEdit(joinPointer('metadata', 'labels'), pod.metadata.labels);
  labels.set(INJECTED_LABEL, 'true');
  return {
    patch: [...annotations.finish(), ...labels.finish(), ...operations],
    status,
    annotationsBytes: countAnnotations(pod.metadata.annotations ?? {}, written),
  };
}

function countAnnotations(existing: Texts, written: Texts): AnnotationsBytes {
  const others = Object.keys(existing).filter((key) => !Object.hasOwn(written, key));
  const kept = Object.keys(written).filter((key) => written[key] !== undefined);
  const withoutOurs = countBytes(existing, others);
  return { withoutOurs, all: withoutOurs + countBytes(written, kept) };
}

function countBytes(texts: Texts, keys: readonly string[]): number {
  return keys.reduce((bytes, key) => bytes + Buffer.byteLength(key) + Buffer.byteLength(texts[key] ?? ''), 0);
}

/**
 * Configures the planned containers, and removes the items of an earlier pass from the others. Each edit is made when it is
 * asked for, so that only one is in memory.
 */
function* editContainers(pod: CheckedPod, containers: readonly ContainerRef[], plans: Plans): Iterable<Edit> {
  const earlierPass = isEarlierPass(pod);
  for (const ref of containers) {
    const { list, index, container } = ref;
    const channels = plans.get(container)?.channels;
    if (channels === undefined && !earlierPass) continue;
    const path = joinPointer('spec', list, index);
    const former = nameContainer(ref);
    const env = new ListEdit(`${path}/env`, container.env, `${former}/env`);
    configureEnv(env, channels ?? new Set(), earlierPass);
    yield env;
    const mounts = new ListEdit(`${path}/volumeMounts`, container.volumeMounts, `${former}/volumeMounts`);
    configureMounts(mounts, channels === undefined ? [] : listMounts(channels));
    yield mounts;
  }
}

/** Volumes, pull secrets and, last, the sidecar: it shifts the init containers, so their own edits come before. */
function editSpec({ pod, settings, defaults, containers, plans }: Build): Edit[] {
  const volumes = new ListEdit(joinPointer('spec', 'volumes'), pod.spec.volumes);
  for (const volume of buildVolumes(settings, defaults, needsSystemFile(plans))) {
    volumes.put(({ name }) => name === volume.name, volume, isSameSource);
  }
  const secrets = new ListEdit(joinPointer('spec', 'imagePullSecrets'), pod.spec.imagePullSecrets);
  for (const name of defaults.pullSecrets) {
    if (!secrets.items.some((secret) => secret.name === name)) secrets.append({ name });
  }
  const userContainers = containers.map(({ container }) => container);
  const sidecar = buildSidecar(pod, userContainers, settings, defaults);
  const initContainers = createInitContainersEdit(pod);
  placeSidecar(pod, initContainers, sidecar);
  return [volumes, secrets, initContainers];
}

/** Puts the sidecar first, once. Of one of the running version, what others changed on it comes along. */
function placeSidecar(pod: CheckedPod, initContainers: ListEdit<Container>, sidecar: SidecarContainer): void {
  const index = initContainers.items.findIndex(isSidecar);
  const existing = initContainers.items[index];
  const keepsChanges = existing !== undefined && isPassOfThisVersion(pod);
  const wanted: Container = keepsChanges ? carryOver(existing, sidecar) : sidecar;
  if (existing !== undefined && index === 0) {
    const isAsWanted = keepsChanges ? wanted === existing : isSameSource(existing, wanted);
    if (!isAsWanted) initContainers.replace(0, wanted);
    initContainers.removeAll((one, at) => at > 0 && isSidecar(one));
  } else {
    initContainers.removeAll(isSidecar);
    initContainers.prepend(wanted);
  }
}

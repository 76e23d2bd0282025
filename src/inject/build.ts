/** Builds the patch of one pod whose settings and plans are known. PURE. */
import { renderHelper } from '../git/credential-helper.js';
import { renderGitconfig, renderGitconfigSystem } from '../git/gitconfig.js';
import type { Container, Pod } from '../kubernetes/types.js';
import { INJECTED_LABEL, SIDECAR_CONTAINER, WRITTEN_ANNOTATION } from '../names.js';
import { VERSION } from '../version.js';
import { type ContainerRef, formerPointer, isEarlierPass } from './candidate.js';
import { isUnchanged, restore } from './drift.js';
import { configureEnv, configureMounts, listMounts, type Plan } from './git-channels.js';
import { type Edit, type Empty, ListEdit, MapEdit, type Operation, pointer } from './patch.js';
import type { Defaults, Settings } from './settings.js';
import { buildSidecar } from './sidecar.js';
import { readFormerlyEmpty, type Status } from './status-annotation.js';
import { buildVolumes } from './volumes.js';

/** How each configured container is reached. */
export type Plans = ReadonlyMap<Container, Plan>;

/** git's configuration of one pod, which travels in annotations. */
export interface Texts {
  readonly gitconfig: string;
  readonly helper: string;
  readonly gitconfigSystem: string | undefined;
}

export function renderTexts(settings: Settings, plans: Plans): Texts {
  const withSystem = [...plans.values()].some(({ channels }) => channels.has('system'));
  return {
    gitconfig: renderGitconfig(settings.projects),
    helper: renderHelper(settings.organizations),
    gitconfigSystem: withSystem ? renderGitconfigSystem() : undefined,
  };
}

export interface Build {
  readonly pod: Pod;
  readonly settings: Settings;
  readonly defaults: Defaults;
  readonly places: readonly ContainerRef[];
  readonly plans: Plans;
  readonly texts: Texts;
}

/** RFC 6902 on the raw pod, and the status that it writes. */
export function buildPatch(build: Build): { patch: readonly Operation[]; status: Status } {
  const { pod, settings, places, plans, texts } = build;
  const operations: Operation[] = [];
  const empty: Record<string, Empty> = { ...readFormerlyEmpty(pod) };
  const finish = (edit: Edit): void => {
    if (edit.formerlyEmpty !== undefined) empty[edit.formerPath] = edit.formerlyEmpty;
    operations.push(...edit.finish(empty[edit.formerPath]));
  };
  for (const edit of editContainers(pod, places, plans)) finish(edit);
  for (const edit of editSpec(build)) finish(edit);

  const annotations = new MapEdit(pointer('metadata', 'annotations'), pod.metadata.annotations);
  if (annotations.formerlyEmpty !== undefined) empty[annotations.formerPath] = annotations.formerlyEmpty;
  const status: Status = {
    version: VERSION,
    mode: 'helper',
    containers: places.filter(({ container }) => plans.has(container)).map(({ container }) => container.name),
    clientId: settings.clientId,
    tenantId: settings.tenantId,
    ...(Object.keys(empty).length > 0 && { empty }),
  };
  annotations.set(WRITTEN_ANNOTATION.status, JSON.stringify(status));
  annotations.set(WRITTEN_ANNOTATION.gitconfig, texts.gitconfig);
  annotations.set(WRITTEN_ANNOTATION.helper, texts.helper);
  annotations.set(WRITTEN_ANNOTATION.gitconfigSystem, texts.gitconfigSystem);
  const labels = new MapEdit(pointer('metadata', 'labels'), pod.metadata.labels);
  labels.set(INJECTED_LABEL, 'true');
  return { patch: [...annotations.finish(), ...labels.finish(), ...operations], status };
}

/** Configures the planned containers and takes an earlier pass's items out of the others. */
function editContainers(pod: Pod, places: readonly ContainerRef[], plans: Plans): Edit[] {
  const earlierPass = isEarlierPass(pod);
  return places.flatMap(({ list, index, container }) => {
    const channels = plans.get(container)?.channels;
    if (channels === undefined && !earlierPass) return [];
    const path = pointer('spec', list, index);
    const former = formerPointer(pod, list, index);
    const env = new ListEdit(`${path}/env`, container.env, `${former}/env`);
    configureEnv(env, channels ?? new Set(), earlierPass);
    const mounts = new ListEdit(`${path}/volumeMounts`, container.volumeMounts, `${former}/volumeMounts`);
    configureMounts(mounts, channels === undefined ? [] : listMounts(channels));
    return [env, mounts];
  });
}

/** Volumes, pull secrets, and last the sidecar: it shifts the init containers, whose own edits come before. */
function editSpec({ pod, settings, defaults, places, plans }: Build): Edit[] {
  const withSystem = [...plans.values()].some(({ channels }) => channels.has('system'));
  const volumes = new ListEdit(pointer('spec', 'volumes'), pod.spec.volumes);
  for (const volume of buildVolumes(settings, defaults, withSystem)) {
    volumes.put(({ name }) => name === volume.name, volume, isUnchanged);
  }
  const secrets = new ListEdit(pointer('spec', 'imagePullSecrets'), pod.spec.imagePullSecrets);
  for (const name of defaults.pullSecrets) {
    if (!secrets.items.some((secret) => secret.name === name)) secrets.append({ name });
  }
  const containers = places.map(({ container }) => container);
  const sidecar = buildSidecar(pod, containers, settings, defaults);
  const initContainers = new ListEdit(pointer('spec', 'initContainers'), pod.spec.initContainers);
  const isOurs = ({ name }: Container): boolean => name === SIDECAR_CONTAINER;
  const first = initContainers.items[0];
  if (first !== undefined && isOurs(first)) {
    if (!isUnchanged(first, sidecar)) initContainers.replace(0, restore(first, sidecar));
  } else {
    initContainers.removeAll(isOurs);
    initContainers.prepend(sidecar);
  }
  return [volumes, secrets, initContainers];
}

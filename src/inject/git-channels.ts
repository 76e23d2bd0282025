/** How git in a configured container finds our configuration: channels, environment and mounts. PURE. */
import type { V1VolumeMount } from '@kubernetes/client-node';
import { GITCONFIG_PATH, GITCONFIG_SYSTEM_PATH } from '../git/gitconfig.js';
import type { Container, EnvVar, Plain, PodSpec, VolumeMount } from '../kubernetes/types.js';
import {
  ANNOTATION,
  type Channel,
  CONFIG_DIRECTORY,
  CONFIG_FILE,
  OUR_VOLUMES,
  STATE_DIRECTORY,
  SYSTEM_GITCONFIG,
  VOLUME,
} from '../names.js';
import { quote } from '../values/text.js';
import { isUnchanged } from './drift.js';
import type { ListEdit } from './patch.js';
import type { WarningCode } from './reasons.js';

const COUNT = 'GIT_CONFIG_COUNT';
const SYSTEM = 'GIT_CONFIG_SYSTEM';
const LITERAL_COUNT = /^(?:0|[1-9]\d{0,8})$/;

/** A warning about one container; the clause follows the container's name. */
interface ChannelWarning {
  readonly code: WarningCode;
  readonly clause: string;
}

/** The channels of one container, and what its author should know. */
export interface Plan {
  readonly channels: ReadonlySet<Channel>;
  readonly warnings: readonly ChannelWarning[];
}

/**
 * Chooses the channels of one container.
 *
 * @param env the user's own: without the items of an earlier pass.
 */
export function planChannels(
  container: Container,
  env: readonly EnvVar[],
  spec: PodSpec,
  choice: 'auto' | readonly Channel[],
): Plan {
  const obstacle = findEnvObstacle(container, env);
  const setsSystem = env.some(({ name }) => name === SYSTEM);
  return choice === 'auto'
    ? planAutomatically(obstacle, setsSystem, isSurelyNotRoot(container, spec))
    : planAsChosen(choice, obstacle, setsSystem);
}

function planAutomatically(obstacle: string | undefined, setsSystem: boolean, isNotRoot: boolean): Plan {
  const channels = new Set<Channel>();
  if (obstacle === undefined) channels.add('env');
  if ((obstacle !== undefined || isNotRoot) && !setsSystem) channels.add('system');
  if (obstacle === undefined) return { channels, warnings: [] };
  const reach = setsSystem
    ? `and it sets ${SYSTEM} itself: its git is not configured; set ${ANNOTATION.gitConfig}: file`
    : `so ${SYSTEM} is used`;
  return { channels, warnings: [{ code: 'env-channel-left-alone', clause: `${obstacle}, ${reach}` }] };
}

function planAsChosen(choice: readonly Channel[], obstacle: string | undefined, setsSystem: boolean): Plan {
  const channels = new Set<Channel>();
  const warnings: ChannelWarning[] = [];
  for (const channel of choice) {
    if (channel === 'env' && obstacle !== undefined) {
      const clause = `${obstacle}, so the channel env is not used; add system or file to ${ANNOTATION.gitConfig}`;
      warnings.push({ code: 'env-channel-left-alone', clause });
    } else if (channel === 'system' && setsSystem) {
      const clause = `it sets ${SYSTEM} itself, so the channel system is not used; add env or file to ${ANNOTATION.gitConfig}`;
      warnings.push({ code: 'system-channel-left-alone', clause });
    } else {
      channels.add(channel);
    }
    if (channel === 'file') {
      const clause = `the image's own ${SYSTEM_GITCONFIG} is hidden, and git config --system fails`;
      warnings.push({ code: 'system-file-hidden', clause });
    }
  }
  return { channels, warnings };
}

/** Root may write the system's file, which `GIT_CONFIG_SYSTEM` would prevent; other users can't write it anyway. */
function isSurelyNotRoot({ securityContext }: Container, spec: PodSpec): boolean {
  const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser;
  if (user !== undefined && user !== null) return user !== 0;
  return (securityContext?.runAsNonRoot ?? spec.securityContext?.runAsNonRoot) === true;
}

function findEnvObstacle(container: Container, env: readonly EnvVar[]): string | undefined {
  const count = env.findLast(({ name }) => name === COUNT);
  if (count === undefined) {
    if ((container.envFrom ?? []).length > 0) return `its envFrom may set a ${COUNT} that can't be seen`;
    return isTaken(env, 0) ? `GIT_CONFIG_KEY_0 or GIT_CONFIG_VALUE_0 is set without a ${COUNT}` : undefined;
  }
  if (isFrom(count)) return `its ${COUNT} comes from valueFrom`;
  if (!LITERAL_COUNT.test(count.value ?? '')) return `its ${COUNT} ${quote(count.value ?? '')} is not a number`;
  const index = Number(count.value);
  return isTaken(env, index) ? `GIT_CONFIG_KEY_${index} or GIT_CONFIG_VALUE_${index} is already set` : undefined;
}

function isFrom({ valueFrom }: EnvVar): boolean {
  return valueFrom !== undefined && valueFrom !== null;
}

function isTaken(env: readonly EnvVar[], index: number): boolean {
  return env.some(({ name }) => name === nameKey(index) || name === nameValue(index));
}

/** Makes the container's environment follow the plan; an earlier pass's items keep their places where they still fit. */
export function configureEnv(edit: ListEdit<EnvVar>, channels: ReadonlySet<Channel>, earlierPass: boolean): void {
  const pair = earlierPass ? findOurPair(edit.items) : undefined;
  if (channels.has('env')) {
    if (pair === undefined) addPair(edit);
  } else if (pair !== undefined) {
    removePair(edit, pair);
  }
  const isOurs = ({ name, value }: EnvVar): boolean =>
    earlierPass && name === SYSTEM && value === GITCONFIG_SYSTEM_PATH;
  if (!channels.has('system')) edit.removeAll(isOurs);
  else if (!edit.items.some(isOurs)) edit.append({ name: SYSTEM, value: GITCONFIG_SYSTEM_PATH });
}

/** Removes the items of an earlier pass: the environment is then as the user wrote it. */
export function removeOurEnv(edit: ListEdit<EnvVar>): void {
  configureEnv(edit, new Set(), true);
}

/** Key, value, then the count if it is ours. A count of the user's comes before them, which distinguishes the two. */
function addPair(edit: ListEdit<EnvVar>): void {
  const at = edit.items.findLastIndex(({ name }) => name === COUNT);
  const count = edit.items[at];
  const index = Number(count?.value ?? 0);
  if (count !== undefined) edit.replaceField(at, 'value', String(index + 1));
  edit.append({ name: nameKey(index), value: 'include.path' });
  edit.append({ name: nameValue(index), value: GITCONFIG_PATH });
  if (count === undefined) edit.append({ name: COUNT, value: '1' });
}

/** Index of the pair that names our configuration, provided that the count makes git read it. */
function findOurPair(env: readonly EnvVar[]): number | undefined {
  const count = Number(env.findLast(({ name }) => name === COUNT)?.value ?? 0);
  return env
    .filter(({ name, value }) => /^GIT_CONFIG_VALUE_\d+$/.test(name) && value === GITCONFIG_PATH)
    .map(({ name }) => Number(name.slice('GIT_CONFIG_VALUE_'.length)))
    .find(
      (index) => index < count && env.some(({ name, value }) => name === nameKey(index) && value === 'include.path'),
    );
}

function removePair(edit: ListEdit<EnvVar>, pair: number): void {
  const countAt = edit.items.findLastIndex(({ name }) => name === COUNT);
  const count = Number(edit.items[countAt]?.value);
  const isOurCount = count === 1 && edit.items[countAt - 1]?.name === nameValue(pair);
  for (const name of [...(isOurCount ? [COUNT] : []), nameValue(pair), nameKey(pair)]) {
    edit.remove(edit.items.findIndex((item) => item.name === name));
  }
  if (isOurCount) return;
  // Pairs that others appended after ours move up, since git fails where one is missing.
  edit.items.forEach((item, at) => {
    const match = /^GIT_CONFIG_(KEY|VALUE)_(\d+)$/.exec(item.name);
    const index = Number(match?.[2]);
    if (match !== null && index > pair && index < count)
      edit.replaceField(at, 'name', `GIT_CONFIG_${match[1] ?? ''}_${index - 1}`);
  });
  const at = edit.items.findLastIndex(({ name }) => name === COUNT);
  const item = edit.items[at];
  if (item !== undefined) edit.replaceField(at, 'value', String(count - 1));
}

function nameKey(index: number): string {
  return `GIT_CONFIG_KEY_${index}`;
}

function nameValue(index: number): string {
  return `GIT_CONFIG_VALUE_${index}`;
}

/** The mounts of a configured container. */
export function listMounts(channels: ReadonlySet<Channel>): readonly Plain<V1VolumeMount>[] {
  const mounts: Plain<V1VolumeMount>[] = [
    { name: VOLUME.state, mountPath: STATE_DIRECTORY, readOnly: true },
    { name: VOLUME.config, mountPath: CONFIG_DIRECTORY, readOnly: true },
  ];
  if (channels.has('file')) {
    mounts.push({ name: VOLUME.config, mountPath: SYSTEM_GITCONFIG, subPath: CONFIG_FILE.gitconfig, readOnly: true });
  }
  return mounts;
}

/** Makes the wanted mounts the only ones of our volumes in a container; none are wanted in one that is not configured. */
export function configureMounts(edit: ListEdit<VolumeMount>, wanted: readonly VolumeMount[]): void {
  edit.removeAll((mount) => OUR_VOLUMES.has(mount.name) && !wanted.some((one) => isUnchanged(mount, one)));
  for (const mount of wanted) {
    if (!edit.items.some((one) => isUnchanged(one, mount))) edit.append(mount);
  }
}

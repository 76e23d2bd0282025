/** What each configured container gets: the environment and mounts through which its git finds our configuration. PURE. */
import { GITCONFIG_PATH, GITCONFIG_SYSTEM_PATH } from '../git/gitconfig.js';
import type { Container, EnvVar, PodSpec, VolumeMount } from '../kubernetes/types.js';
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
import { quote, truncate } from '../values/text.js';
import { isUnchanged } from './drift.js';
import type { ListEdit } from './patch.js';
import type { Warning, WarningCode } from './reasons.js';

const COUNT = 'GIT_CONFIG_COUNT';
const SYSTEM = 'GIT_CONFIG_SYSTEM';
const LITERAL_COUNT = /^(?:0|[1-9]\d{0,8})$/;

/** Which ways are taken in one container, and what its author should know. */
export interface Plan {
  readonly channels: ReadonlySet<Channel>;
  readonly warnings: readonly Warning[];
}

/** Chooses for one container, from what is the user's in it: an earlier pass's items must be taken out of `env` first. */
export function planChannels(
  container: Container,
  env: readonly EnvVar[],
  spec: PodSpec,
  choice: 'auto' | readonly Channel[],
): Plan {
  const channels = new Set<Channel>();
  const warnings: Warning[] = [];
  const warn = (code: WarningCode, message: string): void => {
    warnings.push({ code, message: `container ${truncate(container.name)}: ${message}` });
  };
  const obstacle = findEnvObstacle(container, env);
  const ownSystem = env.some(({ name }) => name === SYSTEM);
  if (choice === 'auto') {
    if (obstacle === undefined) channels.add('env');
    if ((obstacle !== undefined || isSurelyNotRoot(container, spec)) && !ownSystem) channels.add('system');
    if (obstacle !== undefined) {
      const reach = ownSystem
        ? `and it sets ${SYSTEM} itself: its git is not configured; set ${ANNOTATION.gitConfig}: file`
        : `so ${SYSTEM} is used`;
      warn('env-channel-left-alone', `${obstacle}, ${reach}`);
    }
    return { channels, warnings };
  }
  for (const channel of choice) {
    if (channel === 'env' && obstacle !== undefined) {
      warn(
        'env-channel-left-alone',
        `${obstacle}, so the channel env is left alone; add system or file to ${ANNOTATION.gitConfig}`,
      );
    } else if (channel === 'system' && ownSystem) {
      warn(
        'system-channel-left-alone',
        `it sets ${SYSTEM} itself, so the channel system is left alone; add env or file to ${ANNOTATION.gitConfig}`,
      );
    } else {
      channels.add(channel);
    }
    if (channel === 'file')
      warn('system-file-hidden', `the image's own ${SYSTEM_GITCONFIG} is hidden, and git config --system fails`);
  }
  return { channels, warnings };
}

/** Where root writes the system's file, `GIT_CONFIG_SYSTEM` must not stand in the way; others can't write it anyway. */
function isSurelyNotRoot({ securityContext }: Container, spec: PodSpec): boolean {
  const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser;
  if (user !== undefined && user !== null) return user !== 0;
  return (securityContext?.runAsNonRoot ?? spec.securityContext?.runAsNonRoot) === true;
}

function findEnvObstacle(container: Container, env: readonly EnvVar[]): string | undefined {
  const count = env.findLast(({ name }) => name === COUNT);
  if (count === undefined) {
    if ((container.envFrom ?? []).length > 0) return `its envFrom may bring a ${COUNT} that can't be seen`;
    return isTaken(env, 0) ? `GIT_CONFIG_KEY_0 or GIT_CONFIG_VALUE_0 is there without a ${COUNT}` : undefined;
  }
  if (isFrom(count)) return `its ${COUNT} comes from valueFrom`;
  if (!LITERAL_COUNT.test(count.value ?? '')) return `its ${COUNT} ${quote(count.value ?? '')} is not a number`;
  const index = Number(count.value);
  return isTaken(env, index) ? `GIT_CONFIG_KEY_${index} or GIT_CONFIG_VALUE_${index} is taken` : undefined;
}

function isFrom({ valueFrom }: EnvVar): boolean {
  return valueFrom !== undefined && valueFrom !== null;
}

function isTaken(env: readonly EnvVar[], index: number): boolean {
  return env.some(({ name }) => name === keyName(index) || name === valueName(index));
}

/** Makes the container's environment say what the plan says; an earlier pass's items stay where they still fit. */
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

/** The environment without our items, as the user wrote it. */
export function withoutOurEnv(edit: ListEdit<EnvVar>): void {
  configureEnv(edit, new Set(), true);
}

/** Key, value, then the count if it is ours: so a count of the user's, which stands before, is told from one of ours. */
function addPair(edit: ListEdit<EnvVar>): void {
  const at = edit.items.findLastIndex(({ name }) => name === COUNT);
  const count = edit.items[at];
  const index = Number(count?.value ?? 0);
  if (count !== undefined) edit.replaceField(at, 'value', String(index + 1));
  edit.append({ name: keyName(index), value: 'include.path' });
  edit.append({ name: valueName(index), value: GITCONFIG_PATH });
  if (count === undefined) edit.append({ name: COUNT, value: '1' });
}

/** Index of the pair that names our configuration, where git would read it. */
function findOurPair(env: readonly EnvVar[]): number | undefined {
  const count = Number(env.findLast(({ name }) => name === COUNT)?.value ?? 0);
  return env
    .filter(({ name, value }) => /^GIT_CONFIG_VALUE_\d+$/.test(name) && value === GITCONFIG_PATH)
    .map(({ name }) => Number(name.slice('GIT_CONFIG_VALUE_'.length)))
    .find(
      (index) => index < count && env.some(({ name, value }) => name === keyName(index) && value === 'include.path'),
    );
}

function removePair(edit: ListEdit<EnvVar>, pair: number): void {
  const countAt = edit.items.findLastIndex(({ name }) => name === COUNT);
  const count = Number(edit.items[countAt]?.value);
  const isOurCount = count === 1 && edit.items[countAt - 1]?.name === valueName(pair);
  for (const name of [...(isOurCount ? [COUNT] : []), valueName(pair), keyName(pair)]) {
    edit.remove(edit.items.findIndex((item) => item.name === name));
  }
  if (isOurCount) return;
  // Pairs that others appended after ours move up: git ends with an error where one is missing.
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

function keyName(index: number): string {
  return `GIT_CONFIG_KEY_${index}`;
}

function valueName(index: number): string {
  return `GIT_CONFIG_VALUE_${index}`;
}

/** The mounts of a configured container. */
export function listMounts(channels: ReadonlySet<Channel>): readonly VolumeMount[] {
  const mounts: VolumeMount[] = [
    { name: VOLUME.state, mountPath: STATE_DIRECTORY, readOnly: true },
    { name: VOLUME.config, mountPath: CONFIG_DIRECTORY, readOnly: true },
  ];
  if (channels.has('file')) {
    mounts.push({ name: VOLUME.config, mountPath: SYSTEM_GITCONFIG, subPath: CONFIG_FILE.gitconfig, readOnly: true });
  }
  return mounts;
}

/** Makes the mounts of our volumes in one container the wanted ones; none for a container that is not configured. */
export function configureMounts(edit: ListEdit<VolumeMount>, wanted: readonly VolumeMount[]): void {
  edit.removeAll((mount) => OUR_VOLUMES.has(mount.name) && !wanted.some((one) => isUnchanged(mount, one)));
  for (const mount of wanted) {
    if (!edit.items.some((one) => isUnchanged(one, mount))) edit.append(mount);
  }
}

/** How git in a configured container finds our configuration: channels, environment and mounts. PURE. */
import type { V1VolumeMount } from '@kubernetes/client-node';
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
import { isSameMount } from './drift.js';
import { COUNT, LITERAL_COUNT, nameKey, nameValue, SYSTEM } from './git-environment.js';
import type { ListEdit } from './patch.js';
import type { WarningCode } from './reasons.js';

const NO_SYSTEM = 'GIT_CONFIG_NOSYSTEM';

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

/** What a container says about git's configuration. */
interface Situation {
  /** Why the channel `env` can't be used. */
  readonly obstacle: Obstacle | undefined;
  readonly setsSystem: boolean;
  /** Why git reads no system configuration, neither `GIT_CONFIG_SYSTEM` nor `/etc/gitconfig`. */
  readonly noSystem: string | undefined;
  readonly isNotRoot: boolean;
}

interface Obstacle {
  readonly clause: string;
  /** What makes the channel possible. */
  readonly fix: string;
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
  const situation: Situation = {
    obstacle: findEnvObstacle(container, env),
    setsSystem: env.some(({ name }) => name === SYSTEM),
    noSystem: findNoSystem(container, env),
    isNotRoot: isSurelyNotRoot(container, spec),
  };
  return choice === 'auto' ? planAutomatically(situation) : planAsChosen(choice, situation);
}

function planAutomatically({ obstacle, setsSystem, noSystem, isNotRoot }: Situation): Plan {
  const channels = new Set<Channel>();
  if (obstacle === undefined) channels.add('env');
  if ((obstacle !== undefined || isNotRoot) && !setsSystem) channels.add('system');
  if (obstacle === undefined) return { channels, warnings: [] };
  const { clause, fix } = obstacle;
  if (noSystem !== undefined) {
    return { channels, warnings: [warnOfEnv(`${clause}, and ${noSystem}: its git is not configured; ${fix}`)] };
  }
  const reach = setsSystem
    ? `and it sets ${SYSTEM} itself: its git is not configured; set ${ANNOTATION.gitConfig}: file`
    : `so ${SYSTEM} is used`;
  return { channels, warnings: [warnOfEnv(`${clause}, ${reach}`)] };
}

function warnOfEnv(clause: string): ChannelWarning {
  return { code: 'env-channel-left-alone', clause };
}

function planAsChosen(choice: readonly Channel[], situation: Situation): Plan {
  const { obstacle, setsSystem, noSystem } = situation;
  const channels = new Set<Channel>();
  const warnings: ChannelWarning[] = [];
  for (const channel of choice) {
    if (channel === 'env' && obstacle !== undefined) {
      const fix = noSystem === undefined ? `add system or file to ${ANNOTATION.gitConfig}` : obstacle.fix;
      warnings.push(warnOfEnv(`${obstacle.clause}, so the channel env is not used; ${fix}`));
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
  if (noSystem !== undefined && !channels.has('env') && !choice.includes('env')) {
    const more = obstacle === undefined ? '' : `, and ${obstacle.fix}`;
    const clause = `${noSystem}, so the channels system and file have no effect; add env to ${ANNOTATION.gitConfig}${more}`;
    warnings.push({ code: 'system-channel-left-alone', clause });
  }
  return { channels, warnings };
}

/** What git reads as false (config.c, `git_parse_maybe_bool`). */
const FALSE = /^(?:false|no|off|[+-]?0+|)$/i;
/** git-sync sets the variable for its git since version 4. */
const GIT_SYNC_IMAGE = /(?:^|\/)git-sync(?:-[a-z0-9]+)?(?::(?!v?[0-3]\b)[^/@]*)?(?:@[^/]*)?$/;

function findNoSystem({ image }: Container, env: readonly EnvVar[]): string | undefined {
  const variable = env.findLast(({ name }) => name === NO_SYSTEM);
  if (variable !== undefined && (isFrom(variable) || !FALSE.test(variable.value ?? ''))) {
    return `its ${NO_SYSTEM} turns off ${SYSTEM}`;
  }
  return GIT_SYNC_IMAGE.test(image ?? '') ? `git-sync 4 sets ${NO_SYSTEM}, which turns off ${SYSTEM}` : undefined;
}

/** Root may write the system's file, which `GIT_CONFIG_SYSTEM` would prevent; other users can't write it anyway. */
function isSurelyNotRoot({ securityContext }: Container, spec: PodSpec): boolean {
  const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser;
  if (user !== undefined && user !== null) return user !== 0;
  return (securityContext?.runAsNonRoot ?? spec.securityContext?.runAsNonRoot) === true;
}

function findEnvObstacle(container: Container, env: readonly EnvVar[]): Obstacle | undefined {
  const count = env.findLast(({ name }) => name === COUNT);
  if (count === undefined) {
    if ((container.envFrom ?? []).length > 0) {
      return { clause: `its envFrom may set a ${COUNT} that can't be seen`, fix: `set ${COUNT}: "0" in its env` };
    }
    return isTaken(env, 0) ? refusePair(0, `is set without a ${COUNT}`) : undefined;
  }
  const fix = `set ${COUNT} to a literal number`;
  if (isFrom(count)) return { clause: `its ${COUNT} comes from valueFrom`, fix };
  if (!LITERAL_COUNT.test(count.value ?? '')) {
    return { clause: `its ${COUNT} ${quote(count.value ?? '')} is not a number`, fix };
  }
  const index = Number(count.value);
  return isTaken(env, index) ? refusePair(index, 'is already set') : undefined;
}

function refusePair(index: number, clause: string): Obstacle {
  const names = `${nameKey(index)} or ${nameValue(index)}`;
  return { clause: `${names} ${clause}`, fix: `set ${COUNT} to the number of its pairs` };
}

function isFrom({ valueFrom }: EnvVar): boolean {
  return valueFrom !== undefined && valueFrom !== null;
}

function isTaken(env: readonly EnvVar[], index: number): boolean {
  const [keyName, valueName] = [nameKey(index), nameValue(index)];
  return env.some(({ name }) => name === keyName || name === valueName);
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
  const places = wanted.map((mount) => edit.items.findIndex((one) => isSameMount(one, mount)));
  edit.removeAll((mount, at) => OUR_VOLUMES.has(mount.name) && !places.includes(at));
  wanted.forEach((mount, index) => {
    if (places[index] === -1) edit.append(mount);
  });
}

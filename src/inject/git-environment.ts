/**
 * Our variables in a configured container: a pair of `GIT_CONFIG_KEY_n` and `GIT_CONFIG_VALUE_n` that includes our
 * configuration, the count that makes git read it, and `GIT_CONFIG_SYSTEM`. PURE.
 */
import { GITCONFIG_PATH, GITCONFIG_SYSTEM_PATH } from '../git/gitconfig.js';
import type { EnvVar } from '../kubernetes/types.js';
import type { Channel } from '../names.js';
import type { ListEdit } from './patch.js';

export const COUNT = 'GIT_CONFIG_COUNT';
export const SYSTEM = 'GIT_CONFIG_SYSTEM';
/** A count that we can raise, as git reads it. */
export const LITERAL_COUNT = /^(?:0|[1-9]\d{0,8})$/;
const INCLUDE = 'include.path';
const PAIR_NAME = /^GIT_CONFIG_(KEY|VALUE)_(0|[1-9]\d{0,8})$/;

/** Makes the container's environment follow the plan; an earlier pass's items keep their places where they still fit. */
export function configureEnv(edit: ListEdit<EnvVar>, channels: ReadonlySet<Channel>, earlierPass: boolean): void {
  const isInPlace = earlierPass && channels.has('env') && hasOurPairOnce(edit.items);
  if (earlierPass && !isInPlace) removeOurPairs(edit);
  if (channels.has('env') && !isInPlace) addPair(edit);

  const isOurs = ({ name, value }: EnvVar): boolean =>
    earlierPass && name === SYSTEM && value === GITCONFIG_SYSTEM_PATH;
  const first = channels.has('system') ? edit.items.findIndex(isOurs) : -1;
  edit.removeAll((item, at) => isOurs(item) && at !== first);
  if (channels.has('system') && first === -1) edit.append({ name: SYSTEM, value: GITCONFIG_SYSTEM_PATH });
}

/** Removes the items of an earlier pass: the environment is then as the user wrote it. */
export function removeOurEnv(edit: ListEdit<EnvVar>): void {
  configureEnv(edit, new Set(), true);
}

export function nameKey(index: number): string {
  return `GIT_CONFIG_KEY_${index}`;
}

export function nameValue(index: number): string {
  return `GIT_CONFIG_VALUE_${index}`;
}

/** Key, value, then the count if it is ours. A count of the user's comes before them, which distinguishes the two. */
function addPair(edit: ListEdit<EnvVar>): void {
  const at = edit.items.findLastIndex(({ name }) => name === COUNT);
  const count = edit.items[at];
  const index = Number(count?.value ?? 0);
  if (count !== undefined) edit.replaceField(at, 'value', String(index + 1));
  edit.append({ name: nameKey(index), value: INCLUDE });
  edit.append({ name: nameValue(index), value: GITCONFIG_PATH });
  if (count === undefined) edit.append({ name: COUNT, value: '1' });
}

/** Index of the pair to which the variable of this name belongs. */
function readIndex(part: 'KEY' | 'VALUE', name: string): number | undefined {
  const match = PAIR_NAME.exec(name);
  return match?.[1] === part ? Number(match[2]) : undefined;
}

/** Index of the pair that names our configuration in this value. */
function readOurIndex(item: EnvVar | undefined): number | undefined {
  return item?.value === GITCONFIG_PATH ? readIndex('VALUE', item.name) : undefined;
}

/** Whether our pair is there once, and git reads it. */
function hasOurPairOnce(env: readonly EnvVar[]): boolean {
  const index = readOurIndex(env.find((item) => readOurIndex(item) !== undefined));
  if (index === undefined) return false;
  const [keyName, valueName] = [nameKey(index), nameValue(index)];
  const keys = env.filter(({ name }) => name === keyName);
  const values = env.filter(
    ({ value, name }) => name === valueName || (value === GITCONFIG_PATH && PAIR_NAME.test(name)),
  );
  if (keys.length !== 1 || keys[0]?.value !== INCLUDE || values.length !== 1) return false;
  const count = env.findLast(({ name }) => name === COUNT);
  if (!LITERAL_COUNT.test(count?.value ?? '') || index >= Number(count?.value)) return false;
  return !env.some((_, at) => isOurCount(env, at) && isSpoiled(env, at));
}

/** Whether the item is the count that we added: it comes right after our value. */
function isOurCount(env: readonly EnvVar[], at: number): boolean {
  return env[at]?.name === COUNT && readOurIndex(env[at - 1]) !== undefined;
}

/** Whether others changed our count to one with which git fails, or added another that hides it. */
function isSpoiled(env: readonly EnvVar[], at: number): boolean {
  if (at !== env.findLastIndex(({ name }) => name === COUNT)) return true;
  const text = env[at]?.value ?? '';
  return !LITERAL_COUNT.test(text) || !hasPairsBelow(env, Number(text));
}

/** Whether all pairs below a count are there, so that git reads them. */
function hasPairsBelow(env: readonly EnvVar[], count: number): boolean {
  if (count > env.length) return false;
  const names = new Set(env.map(({ name }) => name));
  return Array.from({ length: count }, (_, n) => n).every((n) => names.has(nameKey(n)) && names.has(nameValue(n)));
}

/** Removes all our pairs in one pass: an earlier pass of ours wrote one, but a forged one may have thousands. */
function removeOurPairs(edit: ListEdit<EnvVar>): void {
  const env = edit.items;
  const ours = new Set(env.flatMap((item) => readOurIndex(item) ?? []));
  if (ours.size === 0) return;
  const lastCount = env.findLastIndex(({ name }) => name === COUNT);
  const isLastSpoiled = isSpoiled(env, lastCount);
  const isOurKey = ({ name, value }: EnvVar, at: number): boolean => {
    const index = readIndex('KEY', name);
    return index !== undefined && ours.has(index) && (value === INCLUDE || readOurIndex(env[at + 1]) === index);
  };
  const isOnlyOurs = ({ value }: EnvVar, at: number): boolean =>
    isOurCount(env, at) && (value === '1' || at !== lastCount || isLastSpoiled);
  edit.removeAll((item, at) => readOurIndex(item) !== undefined || isOurKey(item, at) || isOnlyOurs(item, at));
  closeGaps(edit, Uint32Array.from(ours).sort());
}

/**
 * Pairs that others appended after ours move up, since git fails where one is missing. A count that others lowered becomes
 * what it was before our pair.
 *
 * @param gaps indexes of our pairs, in ascending order.
 */
function closeGaps(edit: ListEdit<EnvVar>, gaps: Uint32Array): void {
  const countAt = edit.items.findLastIndex(({ name }) => name === COUNT);
  const text = edit.items[countAt]?.value ?? '';
  if (!LITERAL_COUNT.test(text)) return;
  const count = Number(text);
  const lowest = gaps[0] ?? count;
  if (count <= lowest) {
    if (count < lowest && hasPairsBelow(edit.items, lowest)) edit.replaceField(countAt, 'value', String(lowest));
    return;
  }
  edit.items.forEach(({ name }, at) => {
    const match = PAIR_NAME.exec(name);
    const index = Number(match?.[2]);
    if (match === null || index <= lowest || index >= count) return;
    edit.replaceField(at, 'name', `GIT_CONFIG_${match[1] ?? ''}_${index - countBelow(gaps, index)}`);
  });
  edit.replaceField(countAt, 'value', String(count - countBelow(gaps, count)));
}

/** How many of the numbers, which are in ascending order, are less than the limit. */
function countBelow(ascending: Uint32Array, limit: number): number {
  let [from, to] = [0, ascending.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((ascending[middle] ?? limit) < limit) from = middle + 1;
    else to = middle;
  }
  return from;
}

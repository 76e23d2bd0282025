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

/** Index of the first pair that names our configuration. */
function findOurIndex(env: readonly EnvVar[]): number | undefined {
  for (const { name, value } of env) {
    const match = value === GITCONFIG_PATH ? PAIR_NAME.exec(name) : null;
    if (match?.[1] === 'VALUE') return Number(match[2]);
  }
  return undefined;
}

/** Whether our pair is there once, and git reads it. */
function hasOurPairOnce(env: readonly EnvVar[]): boolean {
  const index = findOurIndex(env);
  if (index === undefined) return false;
  const [keyName, valueName] = [nameKey(index), nameValue(index)];
  const keys = env.filter(({ name }) => name === keyName);
  const values = env.filter(
    ({ value, name }) => name === valueName || (value === GITCONFIG_PATH && PAIR_NAME.test(name)),
  );
  if (keys.length !== 1 || keys[0]?.value !== INCLUDE || values.length !== 1) return false;
  const count = env.findLast(({ name }) => name === COUNT);
  if (!LITERAL_COUNT.test(count?.value ?? '') || index >= Number(count?.value)) return false;
  return !env.some((_, at) => isOurCount(env, at, index) && isSpoiled(env, at));
}

/** Whether the item is the count that we added: it comes right after our value. */
function isOurCount(env: readonly EnvVar[], at: number, index: number): boolean {
  const before = env[at - 1];
  return env[at]?.name === COUNT && before?.value === GITCONFIG_PATH && before.name === nameValue(index);
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

/** Our pairs in one container; an earlier pass wrote one, and others may have copied it. */
const MAX_PAIRS = 16;
/** Each pair costs a pass over the environment: limit of the items in all passes. */
const MAX_VISITS = 20_000;

function removeOurPairs(edit: ListEdit<EnvVar>): void {
  const most = Math.min(MAX_PAIRS, Math.max(1, Math.floor(MAX_VISITS / edit.items.length)));
  for (let removed = 0; removed < most; removed++) {
    const index = findOurIndex(edit.items);
    if (index === undefined) return;
    removePair(edit, index);
  }
}

function removePair(edit: ListEdit<EnvVar>, pair: number): void {
  const env = [...edit.items];
  const [keyName, valueName] = [nameKey(pair), nameValue(pair)];
  const isOurValue = (item: EnvVar | undefined): boolean => item?.name === valueName && item.value === GITCONFIG_PATH;
  const isOurKey = (item: EnvVar, at: number): boolean =>
    item.name === keyName && (item.value === INCLUDE || isOurValue(env[at + 1]));
  const lastCount = env.findLastIndex(({ name }) => name === COUNT);
  const isLastSpoiled = isSpoiled(env, lastCount);
  const isOnlyOurs = (at: number): boolean =>
    isOurCount(env, at, pair) && (env[at]?.value === '1' || at !== lastCount || isLastSpoiled);
  edit.removeAll((item, at) => isOurValue(item) || isOurKey(item, at) || isOnlyOurs(at));
  closeGap(edit, pair);
}

/**
 * Pairs that others appended after ours move up, since git fails where one is missing. A count that others lowered becomes
 * what it was before our pair.
 */
function closeGap(edit: ListEdit<EnvVar>, gap: number): void {
  const countAt = edit.items.findLastIndex(({ name }) => name === COUNT);
  const text = edit.items[countAt]?.value ?? '';
  if (!LITERAL_COUNT.test(text)) return;
  const count = Number(text);
  if (count <= gap) {
    if (count < gap && hasPairsBelow(edit.items, gap)) edit.replaceField(countAt, 'value', String(gap));
    return;
  }
  edit.items.forEach(({ name }, at) => {
    const match = PAIR_NAME.exec(name);
    const index = Number(match?.[2]);
    if (match !== null && index > gap && index < count) {
      edit.replaceField(at, 'name', `GIT_CONFIG_${match[1] ?? ''}_${index - 1}`);
    }
  });
  edit.replaceField(countAt, 'value', String(count - 1));
}

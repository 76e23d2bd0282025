/**
 * PURE. What one replica remembers from one pass of the reconciler to the next, and how it changes. `plan.ts` decides from
 * it what to do.
 */
import type { EpochMs } from '../../time.js';
import type { Configuration } from '../webhook-configuration.js';
import { isValidAt, type KeyMaterial, type Leaf, listAuthorities } from './key-material.js';
import { NOTHING_OBSERVED, observeBundle, trustedForMs } from './observed-bundle.js';
import {
  type Action,
  chooseLeaf,
  FIRST_USE_MS,
  type Knowledge,
  needsKeys,
  type ObservedSecret,
  type RotationSettings,
} from './plan.js';

export interface ReconcilerState extends Knowledge {
  /** As it was last read, PEM; undefined where it never was. */
  readonly caBundle: string | undefined;
  /** Whether the caBundle was what it should be when it was last read. */
  readonly isBundleValid: boolean;
  /** Whether API servers could verify what is served, at some time; it stays true. */
  readonly isReady: boolean;
  /** The last write to the Secret, where it was refused. */
  readonly failedWrite: { readonly error: Error; readonly at: EpochMs } | undefined;
}

/** The webhook configuration as it was read; undefined where it could not be. */
export type ObservedConfiguration = Configuration | 'absent' | undefined;

/** After keys were made and their write was refused, no more are made for this long. */
const KEYS_PAUSE_MS = 60_000;

export const INITIAL_STATE: ReconcilerState = {
  lastGood: undefined,
  served: undefined,
  bundle: undefined,
  observed: NOTHING_OBSERVED,
  nextObserved: undefined,
  brokenSince: undefined,
  caBundle: undefined,
  isBundleValid: false,
  isReady: false,
  failedWrite: undefined,
};

/** @param secret undefined where it could not be read. */
export function observe(
  state: ReconcilerState,
  configuration: ObservedConfiguration,
  secret: ObservedSecret | undefined,
  now: EpochMs,
): ReconcilerState {
  return observeSecret(observeConfiguration(state, configuration, now), secret, now);
}

function observeConfiguration(
  state: ReconcilerState,
  configuration: ObservedConfiguration,
  now: EpochMs,
): ReconcilerState {
  if (configuration === undefined) return { ...state, bundle: undefined };
  if (configuration === 'absent') return { ...state, bundle: undefined, isBundleValid: false };
  const { caBundle, certificates } = configuration;
  return { ...state, caBundle, bundle: certificates, observed: observeBundle(state.observed, certificates, now) };
}

function observeSecret(state: ReconcilerState, secret: ObservedSecret | undefined, now: EpochMs): ReconcilerState {
  if (secret === undefined) return state;
  if (secret.state !== 'valid') return { ...state, brokenSince: earlier(state.brokenSince, now) };
  return observeNext({ ...state, brokenSince: undefined }, secret.material, false, now);
}

function observeNext(
  state: ReconcilerState,
  { next }: KeyMaterial,
  isIssuedHere: boolean,
  now: EpochMs,
): ReconcilerState {
  if (next === undefined) return state;
  const { nextObserved } = state;
  if (next.certificatePem === nextObserved?.certificatePem) {
    return { ...state, nextObserved: { ...nextObserved, since: earlier(nextObserved.since, now) } };
  }
  return { ...state, nextObserved: { certificatePem: next.certificatePem, since: now, isIssuedHere } };
}

export function serve(state: ReconcilerState, leaf: Leaf): ReconcilerState {
  return leaf.certificatePem === state.served?.certificatePem ? state : { ...state, served: leaf };
}

/** After the API server answered the write of the action's key material; `lost`: another replica wrote first. */
export function recordWrite(
  state: ReconcilerState,
  action: Action,
  material: KeyMaterial | 'lost',
  now: EpochMs,
): ReconcilerState {
  const next = { ...state, failedWrite: undefined };
  return material !== 'lost' && needsKeys(action) ? observeNext(next, material, true, now) : next;
}

export function recordFailedWrite(state: ReconcilerState, error: Error, now: EpochMs): ReconcilerState {
  return { ...state, failedWrite: { error, at: now } };
}

/** @returns the error of the last write, where the action makes keys and it is too soon to make them again. */
export function findPause({ failedWrite }: ReconcilerState, action: Action, now: EpochMs): Error | undefined {
  if (failedWrite === undefined || !needsKeys(action)) return undefined;
  const elapsedMs = now - failedWrite.at;
  return elapsedMs >= 0 && elapsedMs < KEYS_PAUSE_MS ? failedWrite.error : undefined;
}

/** @param material what is in the Secret now; undefined where this is not known or not valid. */
export function adopt(
  state: ReconcilerState,
  material: KeyMaterial | undefined,
  settings: RotationSettings,
  now: EpochMs,
): ReconcilerState {
  const adopted =
    material === undefined
      ? state
      : serve({ ...state, lastGood: material }, chooseLeaf({ ...state, settings, now }, material));
  const { served } = adopted;
  const isTrusted =
    served !== undefined && isValidAt(served, now) && trustedForMs({ ...adopted, now }, served) >= FIRST_USE_MS;
  return { ...adopted, isReady: adopted.isReady || isTrusted };
}

/**
 * The authorities that must be in the caBundle; undefined where this replica does not know any.
 * @param certificates those in the caBundle now.
 * @param isCurrent whether the state's `lastGood` is what is in the Secret now.
 */
export function planBundle(
  { lastGood, served }: ReconcilerState,
  certificates: readonly string[],
  isCurrent: boolean,
  now: EpochMs,
): readonly string[] | undefined {
  if (lastGood === undefined) return undefined;
  // Without a valid Secret nothing is removed: other replicas may have added to the caBundle.
  const authorities = [...listAuthorities(lastGood), ...(isCurrent ? [] : certificates)];
  // What is served must stay verifiable, whatever is in the Secret now.
  if (served !== undefined && served.notAfter > now) authorities.push(served.authorityPem);
  return [...new Set(authorities)];
}

/** Whether the caBundle holds these authorities and nothing else. */
export function isBundleAsPlanned({ certificates, isClean }: Configuration, planned: readonly string[]): boolean {
  return isClean && planned.length === certificates.length && planned.every((pem) => certificates.includes(pem));
}

/** A moment never lies in the future, although the clock may be set back. */
function earlier(moment: EpochMs | undefined, now: EpochMs): EpochMs {
  return moment === undefined || moment > now ? now : moment;
}

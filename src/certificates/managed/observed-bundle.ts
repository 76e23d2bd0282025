/** PURE. For how long each authority has been in the caBundle, as one replica has observed it. */
import { type EpochMs, epochMs } from '../../time.js';
import type { Leaf } from './key-material.js';

export interface ObservedBundle {
  /** Since when each authority was in the caBundle whenever it was read. */
  readonly since: ReadonlyMap<string, EpochMs>;
  readonly readAt: EpochMs;
}

/** Between two reads of the caBundle that are further apart, anything may have happened. */
const MAX_GAP_MS = 30_000;

export const NOTHING_OBSERVED: ObservedBundle = { since: new Map(), readAt: epochMs(0) };

/** @param bundle the authorities in the caBundle, read at `now`. */
export function observeBundle(observed: ObservedBundle, bundle: readonly string[], now: EpochMs): ObservedBundle {
  const gapMs = now - observed.readAt;
  const isContinuous = gapMs >= 0 && gapMs <= MAX_GAP_MS;
  const since = new Map(bundle.map((pem) => [pem, (isContinuous ? observed.since.get(pem) : undefined) ?? now]));
  return { since, readAt: now };
}

/** How long the leaf's authority has been in the caBundle without a break; -1 where it is not in it now. */
export function trustedForMs(
  input: { readonly now: EpochMs; readonly bundle: readonly string[] | undefined; readonly observed: ObservedBundle },
  { authorityPem }: Leaf,
): number {
  const since = input.observed.since.get(authorityPem);
  return input.bundle === undefined || since === undefined ? -1 : input.now - since;
}

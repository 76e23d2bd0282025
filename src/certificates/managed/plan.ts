/**
 * What to do next about the webhook's certificates, from what stands in the Secret, in the caBundle, in this replica's
 * memory, and the clock. Whoever calls it makes keys and writes objects.
 *
 * The rule that all of it serves: no certificate is served before every API server has the authority that verifies it,
 * and no authority leaves the caBundle while a certificate of it may be served somewhere.
 */
import { X509Certificate } from 'node:crypto';
import {
  type Authority,
  type KeyMaterial,
  type Leaf,
  listAuthorities,
  type PartialKeyMaterial,
  type Retiring,
} from './key-material.js';

export interface RotationSettings {
  readonly caDays: number;
  readonly leafDays: number;
  /** From reading back the caBundle that verifies a new certificate to serving it. */
  readonly overlapSeconds: number;
}

export type SecretView =
  | { readonly state: 'absent' }
  | { readonly state: 'damaged'; readonly parts: PartialKeyMaterial }
  | {
      readonly state: 'sound';
      readonly holding: KeyMaterial;
      /** What the annotation asks for. */
      readonly rotate?: 'leaf' | 'ca';
      /** Whether it goes when the webhook configuration goes. */
      readonly isOwned: boolean;
    };

export interface PlanInput {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly settings: RotationSettings;
  readonly secret: SecretView;
  /** The last sound holding that this replica read or wrote. */
  readonly lastGood?: KeyMaterial;
  /** What this replica serves. */
  readonly served?: Leaf;
  /** The authorities in the caBundle as it was just read; undefined where it could not be, or there is no configuration. */
  readonly bundle?: readonly string[];
  readonly observed: ObservedBundle;
  /** The next certificate as this replica knows it. */
  readonly nextObserved?: { readonly certificatePem: string; readonly since: number; readonly isIssuedHere: boolean };
  /** Since when this replica has found the Secret absent or damaged, milliseconds since 1970. */
  readonly brokenSince?: number;
}

/** Since when each authority was in the caBundle whenever it was read, milliseconds since 1970. */
export interface ObservedBundle {
  readonly since: ReadonlyMap<string, number>;
  readonly readAt: number;
}

export type Action =
  | { readonly do: 'nothing' }
  /** Other replicas may know better. */
  | { readonly do: 'wait' }
  /** Write this, which needs no new keys. */
  | { readonly do: 'write'; readonly why: 'restore' | 'keep' | 'retire' | 'own'; readonly holding: KeyMaterial }
  /** Make what is not given. */
  | {
      readonly do: 'make';
      readonly authority?: Authority;
      readonly leaf?: Leaf;
      readonly retiring: readonly Retiring[];
    }
  /** Issue the next certificate. */
  | { readonly do: 'issue'; readonly holding: KeyMaterial }
  /** Make a new authority and have it issue the next certificate. */
  | { readonly do: 'replace'; readonly holding: KeyMaterial }
  /** Serve the next certificate, then write. */
  | { readonly do: 'promote'; readonly holding: KeyMaterial };

const DAY = 86_400_000;
/** Seen without a break for so long, an authority is taken for known to the API servers where nothing else can be served. */
export const FIRST_USE_MS = 2000;
/** Between two reads of the caBundle that are further apart, anything may have happened. */
const MAX_GAP_MS = 30_000;
/** Whoever did not issue the next certificate leaves it to the one that did for so long. */
const ISSUER_FIRST_MS = 30_000;
/** A replica that starts with a broken Secret leaves its repair for so long to those that remember what was in it. */
export const GRACE_MS = 10_000;

const NOTHING: Action = { do: 'nothing' };

export function plan(view: PlanInput): Action {
  const { secret, lastGood } = view;
  if (secret.state === 'sound') return decideSound(view, secret);
  if (lastGood !== undefined) return { do: 'write', why: 'restore', holding: restore(view, lastGood) };
  if (view.bundle === undefined) return { do: 'wait' };
  const mayBeKnown = secret.state === 'damaged' || view.bundle.length > 0;
  if (mayBeKnown && view.now - (view.brokenSince ?? view.now) < GRACE_MS) return { do: 'wait' };
  return salvage(view, view.bundle, secret.state === 'damaged' ? secret.parts : undefined);
}

function decideSound(view: PlanInput, { holding, rotate, isOwned }: SecretView & { readonly state: 'sound' }): Action {
  const { now, served } = view;
  const authorities = listAuthorities(holding);
  if (served !== undefined && !authorities.includes(served.authorityPem) && served.end > now) {
    // Someone put an older or a foreign Secret in its place.
    const retiring = [...holding.retiring, { certificatePem: served.authorityPem, until: served.end }];
    return { do: 'write', why: 'keep', holding: { ...holding, retiring } };
  }
  const { authority, leaf, next } = holding;
  if (rotate === 'ca' && leaf.authorityPem === authority.certificatePem) return { do: 'replace', holding };
  if (next !== undefined && !isDue(next, now)) {
    if (isKnownEverywhere(view, next, leaf.end <= now)) return { do: 'promote', holding };
  } else if (next !== undefined || rotate === 'leaf' || isDue(leaf, now)) {
    const livesLongEnough = authority.end - now >= view.settings.leafDays * DAY;
    return { do: livesLongEnough ? 'issue' : 'replace', holding };
  }
  const retiring = holding.retiring.filter(({ until }) => until > now);
  if (retiring.length < holding.retiring.length)
    return { do: 'write', why: 'retire', holding: { ...holding, retiring } };
  return isOwned ? NOTHING : { do: 'write', why: 'own', holding };
}

/** @param isUrgent what is served has ended: nobody is served by waiting longer. */
function isKnownEverywhere({ nextObserved, ...view }: PlanInput, next: Leaf, isUrgent: boolean): boolean {
  const overlap = isUrgent ? FIRST_USE_MS : view.settings.overlapSeconds * 1000;
  if (trustedForMs(view, next) < overlap) return false;
  if (nextObserved?.certificatePem !== next.certificatePem) return false;
  return nextObserved.isIssuedHere || view.now - nextObserved.since >= overlap + ISSUER_FIRST_MS;
}

/** A replica that was cut off may remember less than others made since: what they use stays in the caBundle. */
function restore({ now, settings, bundle = [] }: PlanInput, lastGood: KeyMaterial): KeyMaterial {
  const unknown = bundle.filter((pem) => !listAuthorities(lastGood).includes(pem));
  return { ...lastGood, retiring: [...lastGood.retiring, ...retireAll(unknown, now, settings)] };
}

/** What can still be used of a broken Secret; authorities that some replica's certificate may need stay in the caBundle. */
function salvage({ now, settings }: PlanInput, bundle: readonly string[], parts?: PartialKeyMaterial): Action {
  const lastsUntil = (pair: { readonly end: number } | undefined, time: number): boolean => (pair?.end ?? 0) >= time;
  const authority = lastsUntil(parts?.authority, now + settings.leafDays * DAY) ? parts?.authority : undefined;
  const leaf = lastsUntil(parts?.leaf, now) ? parts?.leaf : undefined;
  const nextObserved = new Set([...(parts?.authorities ?? []), ...bundle]);
  if (authority !== undefined) nextObserved.delete(authority.certificatePem);
  const retiring = retireAll([...nextObserved], now, settings);
  return { do: 'make', retiring, ...(authority !== undefined && { authority }), ...(leaf !== undefined && { leaf }) };
}

/** Until the longest time that anything of theirs may be served. */
function retireAll(authorities: readonly string[], now: number, { leafDays }: RotationSettings): Retiring[] {
  return authorities.flatMap((certificatePem) => {
    const certificate = new X509Certificate(certificatePem);
    const until = Math.min(Date.parse(certificate.validTo), now + leafDays * DAY);
    return certificate.ca && until > now ? [{ certificatePem, until }] : [];
  });
}

/** The holding after `replace`: the old authority stays until the last of what it issued has ended. */
export function replaceAuthority(holding: KeyMaterial, authority: Authority, next: Leaf): KeyMaterial {
  const until = Math.max(holding.leaf.end, holding.next?.end ?? 0);
  const old = { certificatePem: holding.authority.certificatePem, until };
  return { authority, leaf: holding.leaf, next, retiring: [...holding.retiring, old] };
}

/** The holding after `promote`. */
export function promoteNext({ authority, next, leaf, retiring }: KeyMaterial): KeyMaterial {
  return { authority, leaf: next ?? leaf, retiring };
}

/**
 * What this replica serves from now on, given a sound holding. What stands in the Secret as in use was known everywhere
 * when it was put there; a replica checks with its own eyes all the same, as someone else may have put it there.
 */
export function chooseLeaf(
  view: Pick<PlanInput, 'now' | 'settings' | 'bundle' | 'observed' | 'served'>,
  { leaf, next }: KeyMaterial,
): Leaf {
  const { now, settings, served } = view;
  if (served === undefined || served.end <= now) return leaf;
  // Promoted here, and the Secret could not be written yet.
  if (served.certificatePem === next?.certificatePem) return served;
  // Where API servers refuse what is served, nobody is served by waiting.
  const overlap = trustedForMs(view, served) < 0 ? FIRST_USE_MS : settings.overlapSeconds * 1000;
  return trustedForMs(view, leaf) >= overlap ? leaf : served;
}

/** How long the leaf's authority has been in the caBundle without a break, milliseconds; -1 where it is not in it now. */
export function trustedForMs(
  { now, bundle, observed: observed }: Pick<PlanInput, 'now' | 'bundle' | 'observed'>,
  { authorityPem }: Leaf,
): number {
  const since = observed.since.get(authorityPem);
  return bundle === undefined || since === undefined ? -1 : now - since;
}

/** @param bundle the authorities in the caBundle, read at `now`. */
export function observeBundle(observed: ObservedBundle, bundle: readonly string[], now: number): ObservedBundle {
  const gap = now - observed.readAt;
  const isContinuous = gap >= 0 && gap <= MAX_GAP_MS;
  const since = bundle.map((pem): [string, number] => [
    pem,
    (isContinuous ? observed.since.get(pem) : undefined) ?? now,
  ]);
  return { since: new Map(since), readAt: now };
}

/** In the last third of its life. */
function isDue({ start, end }: Leaf, now: number): boolean {
  return end - now <= (end - start) / 3;
}

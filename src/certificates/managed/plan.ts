/**
 * PURE. What to do next about the webhook's certificates, given the Secret, the caBundle, what this replica remembers, and
 * the time. `actions.ts` makes keys and certificates, `reconcile.ts` writes objects.
 *
 * All of it serves one rule. No certificate is served before every API server has the authority that verifies it, and no
 * authority leaves the caBundle while a certificate of it may be served somewhere.
 */
import { X509Certificate } from 'node:crypto';
import { addMs, DAY_MS, type EpochMs, epochMs } from '../../time.js';
import { findFormProblem } from '../soundness.js';
import {
  type Authority,
  isValidAt,
  type KeyMaterial,
  type Leaf,
  limitRetiring,
  listAuthorities,
  type PartialKeyMaterial,
  type Retiring,
} from './key-material.js';
import { type ObservedBundle, trustedForMs } from './observed-bundle.js';

export interface RotationSettings {
  readonly caDays: number;
  readonly leafDays: number;
  /** From reading back the caBundle that verifies a new certificate to serving it. */
  readonly overlapSeconds: number;
}

export interface ValidSecret {
  readonly state: 'valid';
  readonly material: KeyMaterial;
  /** What the annotation asks for. */
  readonly rotate: 'leaf' | 'ca' | undefined;
  /** Whether it is deleted together with the webhook configuration. */
  readonly isOwned: boolean;
}

export type ObservedSecret =
  { readonly state: 'absent' } | { readonly state: 'damaged'; readonly partial: PartialKeyMaterial } | ValidSecret;

/** The next certificate as this replica knows it. */
interface ObservedNext {
  readonly certificatePem: string;
  readonly since: EpochMs;
  readonly isIssuedHere: boolean;
}

/** What one replica knows beside the Secret. */
export interface Knowledge {
  /** The last valid key material that this replica read or wrote. */
  readonly lastGood: KeyMaterial | undefined;
  /** What this replica serves. */
  readonly served: Leaf | undefined;
  /** The authorities in the caBundle as just read; undefined where it could not be read or there is no configuration. */
  readonly bundle: readonly string[] | undefined;
  readonly observed: ObservedBundle;
  readonly nextObserved: ObservedNext | undefined;
  /** Since when this replica has found the Secret absent or damaged. */
  readonly brokenSince: EpochMs | undefined;
}

interface PlanInput extends Knowledge {
  readonly now: EpochMs;
  readonly settings: RotationSettings;
  readonly secret: ObservedSecret;
}

/** Why a certificate is issued: the annotation, its age, or a certificate in use from a clock that was ahead. */
export type IssueReason = 'asked' | 'due' | 'not valid yet';

export type Action =
  | { readonly do: 'nothing' }
  /** Another replica may know more. */
  | { readonly do: 'wait' }
  /** Write this, which needs no new keys. */
  | {
      readonly do: 'write';
      readonly why: 'restore' | 'keep' | 'retire' | 'limit' | 'own';
      readonly material: KeyMaterial;
    }
  /** Make what is not given. */
  | {
      readonly do: 'make';
      readonly authority: Authority | undefined;
      readonly leaf: Leaf | undefined;
      readonly retiring: readonly Retiring[];
    }
  /** Issue the next certificate. Where the authority can't, make a new one. */
  | { readonly do: 'issue'; readonly why: IssueReason; readonly material: KeyMaterial }
  /** Make a new authority, which issues the next certificate. */
  | { readonly do: 'replace'; readonly why: IssueReason; readonly material: KeyMaterial }
  /** Serve the next certificate, then write. */
  | { readonly do: 'promote'; readonly material: KeyMaterial };

/** Where nothing better can be served, an authority counts as known to all API servers after this long in the caBundle. */
export const FIRST_USE_MS = 2000;
/** Head start of the replica that issued the next certificate. */
const ISSUER_FIRST_MS = 30_000;
/** A new replica leaves the repair of a broken Secret for this long to replicas that remember its content. */
const GRACE_MS = 10_000;

/** Clocks of replicas differ; what one writes, another must not correct. */
const CLOCK_SLACK_MS = DAY_MS;

const NOTHING: Action = { do: 'nothing' };
const WAIT: Action = { do: 'wait' };

export function plan(input: PlanInput): Action {
  const { secret } = input;
  if (secret.state !== 'valid') return planRepair(input, secret);
  return keepServed(input, secret.material) ?? planRotation(input, secret) ?? planUpkeep(input, secret);
}

function planRepair(input: PlanInput, secret: Exclude<ObservedSecret, ValidSecret>): Action {
  const { lastGood, bundle, now, brokenSince } = input;
  // Without the configuration that owns it, a new Secret would stay after `helm uninstall`.
  if (secret.state === 'absent' && bundle === undefined) return WAIT;
  if (lastGood !== undefined) return { do: 'write', why: 'restore', material: restore(input, lastGood) };
  if (bundle === undefined) return WAIT;
  const mayBeRemembered = secret.state === 'damaged' || bundle.length > 0;
  if (mayBeRemembered && now - (brokenSince ?? now) < GRACE_MS) return WAIT;
  return salvage(input, bundle, secret.state === 'damaged' ? secret.partial : undefined);
}

/** Whether the action makes a key. An authority's costs a tenth of a second of a core or more. */
export function needsKeys(action: Action): boolean {
  return action.do === 'issue' || action.do === 'replace' || action.do === 'make';
}

/** Where an older or unrelated Secret was put in place, the authority of what is served must stay in the caBundle. */
function keepServed({ served, now, settings }: PlanInput, material: KeyMaterial): Action | undefined {
  if (served === undefined || served.notAfter <= now) return undefined;
  if (listAuthorities(material).includes(served.authorityPem)) return undefined;
  const until = epochMs(Math.min(served.notAfter, latestEnd(now, settings)));
  const retiring = limitRetiring([{ certificatePem: served.authorityPem, until }, ...material.retiring]);
  return { do: 'write', why: 'keep', material: { ...material, retiring } };
}

function planRotation(input: PlanInput, { material, rotate }: ValidSecret): Action | undefined {
  const { now, settings } = input;
  const { authority, leaf, next } = material;
  const why = leaf.notBefore > now ? 'not valid yet' : isDue(leaf, input) ? 'due' : 'asked';
  if (rotate === 'ca' && leaf.authorityPem === authority.certificatePem) return { do: 'replace', why, material };
  if (next !== undefined && !isDue(next, input)) {
    return isKnownEverywhere(input, next, isUrgent(input, leaf)) ? { do: 'promote', material } : undefined;
  }
  if (next === undefined && rotate !== 'leaf' && !isDue(leaf, input)) return undefined;
  return { do: canIssue(authority, now, settings) ? 'issue' : 'replace', why, material };
}

function planUpkeep({ now, settings }: PlanInput, { material, isOwned }: ValidSecret): Action {
  const latest = latestEnd(now, settings);
  if (material.retiring.some(({ until }) => until > addMs(latest, CLOCK_SLACK_MS))) {
    const limited = material.retiring.map((entry) => ({ ...entry, until: epochMs(Math.min(entry.until, latest)) }));
    return { do: 'write', why: 'limit', material: { ...material, retiring: limited } };
  }
  const { authorityPem } = material.leaf;
  const retiring = material.retiring.filter(
    ({ until, certificatePem }) => until > now || certificatePem === authorityPem,
  );
  if (retiring.length < material.retiring.length) {
    return { do: 'write', why: 'retire', material: { ...material, retiring } };
  }
  return isOwned ? NOTHING : { do: 'write', why: 'own', material };
}

/** Neither what is in use nor what this replica serves is valid now: waiting longer helps no one. */
function isUrgent({ served, now }: PlanInput, leaf: Leaf): boolean {
  return !isValidAt(leaf, now) && (served === undefined || !isValidAt(served, now));
}

function isKnownEverywhere(input: PlanInput, next: Leaf, isNeededNow: boolean): boolean {
  const { now, settings, nextObserved } = input;
  const overlapMs = isNeededNow ? FIRST_USE_MS : settings.overlapSeconds * 1000;
  if (trustedForMs(input, next) < overlapMs) return false;
  if (nextObserved?.certificatePem !== next.certificatePem) return false;
  return nextObserved.isIssuedHere || now - nextObserved.since >= overlapMs + ISSUER_FIRST_MS;
}

/** A replica that was cut off may have missed newer authorities: what is in the caBundle stays there. */
function restore({ now, settings, bundle = [] }: PlanInput, lastGood: KeyMaterial): KeyMaterial {
  const unknown = bundle.filter((pem) => !listAuthorities(lastGood).includes(pem));
  return { ...lastGood, retiring: limitRetiring([...lastGood.retiring, ...retireAll(unknown, now, settings)]) };
}

/** What can still be used of a broken Secret. Authorities that some replica's certificate may need stay in the caBundle. */
function salvage({ now, settings }: PlanInput, bundle: readonly string[], partial?: PartialKeyMaterial): Action {
  const authority = partial?.authority && canIssue(partial.authority, now, settings) ? partial.authority : undefined;
  const leaf = partial?.leaf && isValidAt(partial.leaf, now) ? partial.leaf : undefined;
  const others = new Set([...(partial?.authorities ?? []), ...bundle]);
  if (authority !== undefined) others.delete(authority.certificatePem);
  return { do: 'make', authority, leaf, retiring: retireAll([...others], now, settings) };
}

/** Whether what the authority issues now has its whole life. Of a foreign one no longer life counts than of our own. */
function canIssue({ notBefore, notAfter }: Authority, now: EpochMs, { caDays, leafDays }: RotationSettings): boolean {
  const end = Math.min(notAfter, addMs(notBefore, caDays * DAY_MS));
  return notBefore <= now && end - now >= leafDays * DAY_MS;
}

/** The end of a certificate that is issued now: none that may be served ends later. */
export function latestEnd(now: EpochMs, { leafDays }: RotationSettings): EpochMs {
  return addMs(now, leafDays * DAY_MS);
}

/** Until the latest time at which a certificate of theirs may be served. */
function retireAll(authorities: readonly string[], now: EpochMs, settings: RotationSettings): Retiring[] {
  const retiring = authorities.flatMap((certificatePem) => {
    const certificate = new X509Certificate(certificatePem);
    const until = epochMs(Math.min(Date.parse(certificate.validTo), latestEnd(now, settings)));
    const isUsable = certificate.ca && findFormProblem(certificate) === undefined && until > now;
    return isUsable ? [{ certificatePem, until }] : [];
  });
  return limitRetiring(retiring);
}

/** The key material after `replace`: the old authority stays until the last certificate of it has expired, or should have. */
export function replaceAuthority(material: KeyMaterial, authority: Authority, next: Leaf): KeyMaterial {
  const until = epochMs(Math.min(Math.max(material.leaf.notAfter, material.next?.notAfter ?? 0), next.notAfter));
  const old = { certificatePem: material.authority.certificatePem, until };
  return { authority, leaf: material.leaf, next, retiring: limitRetiring([old, ...material.retiring]) };
}

/** The key material after `promote`: replicas that are cut off still serve the certificate that was in use until now. */
export function promoteNext({ authority, next, leaf, retiring }: KeyMaterial, latest: EpochMs): KeyMaterial {
  const old = { certificatePem: leaf.authorityPem, until: epochMs(Math.min(leaf.notAfter, latest)) };
  const isRetiring = leaf.authorityPem !== authority.certificatePem;
  return {
    authority,
    leaf: next ?? leaf,
    next: undefined,
    retiring: isRetiring ? limitRetiring([old, ...retiring]) : retiring,
  };
}

/**
 * What this replica serves from now on, given valid key material. The certificate in use was known everywhere when it
 * was written. Each replica verifies this again: the Secret may come from a backup.
 */
export function chooseLeaf(
  input: Pick<PlanInput, 'now' | 'settings' | 'bundle' | 'observed' | 'served'>,
  material: KeyMaterial,
): Leaf {
  const { now, settings, served } = input;
  const { leaf, next } = material;
  if (served === undefined || served.notAfter <= now) return leaf;
  // Promoted here, and not yet written to the Secret.
  if (served.certificatePem === next?.certificatePem) return served;
  // Where API servers refuse what is served, waiting longer helps no one.
  if (served.notBefore > now || trustedForMs(input, served) < 0)
    return trustedForMs(input, leaf) >= FIRST_USE_MS ? leaf : served;
  // Other replicas may serve it too: first its authority must be in the Secret, and so stay in the caBundle.
  if (!listAuthorities(material).includes(served.authorityPem)) return served;
  return trustedForMs(input, leaf) >= settings.overlapSeconds * 1000 ? leaf : served;
}

/** In the last third of its life, or not valid yet. Of a foreign one no longer life counts than of our own. */
function isDue(leaf: Leaf, { now, settings }: Pick<PlanInput, 'now' | 'settings'>): boolean {
  const { notBefore, notAfter } = leaf;
  const lifeMs = Math.min(notAfter - notBefore, settings.leafDays * DAY_MS);
  return !isValidAt(leaf, now) || now - notBefore >= (lifeMs / 3) * 2;
}

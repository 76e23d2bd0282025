/** Executes an action of `plan.ts` as far as keys and certificates go: it makes the key material to write to the Secret. */
import { WEBHOOK_NAME } from '../../names.js';
import type { Now } from '../../time.js';
import { createAuthority, type GenerateKeys, issueCertificate } from '../authority.js';
import type { Authority, KeyMaterial, Leaf } from './key-material.js';
import { type Action, latestEnd, promoteNext, replaceAuthority, type RotationSettings } from './plan.js';
import { describeAuthority, describeLeaf } from './secret-data.js';

interface ExecuteOptions {
  readonly generateKeys: GenerateKeys;
  readonly settings: RotationSettings;
  readonly dnsNames: readonly string[];
  readonly now: Now;
}

/** @returns undefined where there is nothing to write. */
export async function execute(action: Action, options: ExecuteOptions): Promise<KeyMaterial | undefined> {
  switch (action.do) {
    case 'nothing':
    case 'wait':
      return undefined;
    case 'write':
      return action.material;
    case 'promote':
      return promoteNext(action.material, latestEnd(options.now(), options.settings));
    case 'issue': {
      const next = await tryToIssue(action.material.authority, options);
      return next === undefined ? replace(action.material, options) : { ...action.material, next };
    }
    case 'replace':
      return replace(action.material, options);
    case 'make':
      return makeMaterial(action, options);
  }
}

async function replace(material: KeyMaterial, options: ExecuteOptions): Promise<KeyMaterial> {
  const authority = await makeAuthority(options);
  return replaceAuthority(material, authority, await issueLeaf(authority, options));
}

/** A leaf whose authority's key is lost stays in use, and the new authority issues the next one. */
async function makeMaterial(
  { authority: given, leaf, retiring }: Extract<Action, { readonly do: 'make' }>,
  options: ExecuteOptions,
): Promise<KeyMaterial> {
  if (given !== undefined) {
    const usable = leaf ?? (await tryToIssue(given, options));
    if (usable !== undefined) return { authority: given, leaf: usable, next: undefined, retiring };
  }
  const authority = await makeAuthority(options);
  const issued = await issueLeaf(authority, options);
  return { authority, leaf: leaf ?? issued, next: leaf && issued, retiring };
}

async function makeAuthority({ generateKeys, settings, now }: ExecuteOptions): Promise<Authority> {
  const options = { commonName: `${WEBHOOK_NAME} authority`, days: settings.caDays, now: now() };
  return describeAuthority(await createAuthority(options, generateKeys));
}

/** @returns undefined where the authority can't issue: somebody else's may lack what no check foresees. */
async function tryToIssue(authority: Authority, options: ExecuteOptions): Promise<Leaf | undefined> {
  return issueLeaf(authority, options).catch(() => undefined);
}

async function issueLeaf(authority: Authority, options: ExecuteOptions): Promise<Leaf> {
  const { generateKeys, settings, dnsNames, now } = options;
  const issue = { commonName: WEBHOOK_NAME, dnsNames, days: settings.leafDays, now: now() };
  const pair = await issueCertificate(authority, issue, generateKeys);
  return describeLeaf(pair, { authorities: [authority.certificatePem], dnsName: dnsNames[0] ?? '', name: 'next' });
}

/** Executes an action of `plan.ts` as far as keys and certificates go: it makes the key material to write to the Secret. */
import { WEBHOOK_NAME } from '../../names.js';
import type { Now } from '../../time.js';
import { createAuthority, type GenerateKeys, issueCertificate } from '../authority.js';
import type { Authority, KeyMaterial, Leaf } from './key-material.js';
import { type Action, promoteNext, replaceAuthority, type RotationSettings } from './plan.js';
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
      return promoteNext(action.material);
    case 'issue':
      return { ...action.material, next: await issueLeaf(action.material.authority, options) };
    case 'replace': {
      const authority = await makeAuthority(options);
      return replaceAuthority(action.material, authority, await issueLeaf(authority, options));
    }
    case 'make':
      return makeMaterial(action, options);
  }
}

/** A leaf whose authority's key is lost stays in use, and the new authority issues the next one. */
async function makeMaterial(
  { authority: given, leaf, retiring }: Extract<Action, { readonly do: 'make' }>,
  options: ExecuteOptions,
): Promise<KeyMaterial> {
  const authority = given ?? (await makeAuthority(options));
  if (leaf === undefined) {
    return { authority, leaf: await issueLeaf(authority, options), next: undefined, retiring };
  }
  const next = given === undefined ? await issueLeaf(authority, options) : undefined;
  return { authority, leaf, next, retiring };
}

async function makeAuthority({ generateKeys, settings, now }: ExecuteOptions): Promise<Authority> {
  const options = { commonName: `${WEBHOOK_NAME} authority`, days: settings.caDays, now: now() };
  return describeAuthority(await createAuthority(options, generateKeys));
}

async function issueLeaf(authority: Authority, options: ExecuteOptions): Promise<Leaf> {
  const { generateKeys, settings, dnsNames, now } = options;
  const issue = { commonName: WEBHOOK_NAME, dnsNames, days: settings.leafDays, now: now() };
  return describeLeaf(await issueCertificate(authority, issue, generateKeys), [authority.certificatePem], 'next');
}

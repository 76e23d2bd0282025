/** Makes what a step of `plan.ts` asks for: keys and certificates, and with them what is to stand in the Secret. */
import { WEBHOOK_NAME } from '../../names.js';
import type { createAuthority, issueCertificate } from '../authority.js';
import { type Authority, describeAuthority, describeLeaf, type KeyMaterial, type Leaf } from './key-material.js';
import { type Action, promoteNext, replaceAuthority, type RotationSettings } from './plan.js';

/** Who makes keys and signs. */
export interface CertificateMaker {
  readonly createAuthority: typeof createAuthority;
  readonly issueCertificate: typeof issueCertificate;
}

export interface StepOptions {
  readonly maker: CertificateMaker;
  readonly settings: RotationSettings;
  readonly dnsNames: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** @returns undefined where nothing is to be written. */
export async function execute(step: Action, options: StepOptions): Promise<KeyMaterial | undefined> {
  switch (step.do) {
    case 'nothing':
    case 'wait':
      return undefined;
    case 'write':
      return step.holding;
    case 'promote':
      return promoteNext(step.holding);
    case 'issue':
      return { ...step.holding, next: await issueLeaf(step.holding.authority, options) };
    case 'replace': {
      const authority = await makeAuthority(options);
      return replaceAuthority(step.holding, authority, await issueLeaf(authority, options));
    }
    case 'make': {
      const authority = step.authority ?? (await makeAuthority(options));
      const fresh =
        step.leaf !== undefined && step.authority !== undefined ? undefined : await issueLeaf(authority, options);
      const leaf = step.leaf ?? fresh;
      if (leaf === undefined) throw new TypeError('a step that makes certificates has made none');
      return { authority, leaf, retiring: step.retiring, ...(step.leaf && fresh && { next: fresh }) };
    }
  }
}

/** Whether the step costs a key, a tenth of a second of a core or more. */
export function needsKeys(step: Action): boolean {
  return step.do === 'issue' || step.do === 'replace' || step.do === 'make';
}

async function makeAuthority({ maker, settings, now }: StepOptions): Promise<Authority> {
  const commonName = `${WEBHOOK_NAME} authority`;
  return describeAuthority(await maker.createAuthority({ commonName, days: settings.caDays, now: now() }));
}

async function issueLeaf(authority: Authority, { maker, settings, dnsNames, now }: StepOptions): Promise<Leaf> {
  const options = { commonName: WEBHOOK_NAME, dnsNames, days: settings.leafDays, now: now() };
  return describeLeaf(await maker.issueCertificate(authority, options), [authority.certificatePem], 'next');
}

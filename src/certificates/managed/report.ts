/** What the log and the metrics learn of changes to the Secret. */
import type { Logger } from '../../log.js';
import { type EpochMs, formatTime } from '../../time.js';
import type { KeyMaterial } from './key-material.js';
import type { Action, IssueReason, ObservedSecret } from './plan.js';

export const ROTATIONS = ['leaf', 'ca'] as const;
export type Rotation = (typeof ROTATIONS)[number];
export const REPAIRED_OBJECTS = ['secret', 'ca-bundle'] as const;
export type RepairedObject = (typeof REPAIRED_OBJECTS)[number];

/** What becomes metrics. */
export interface CertificateObserver {
  /** This replica put a new certificate into use, from a new authority (`ca`) or the same (`leaf`). */
  rotated(kind: Rotation): void;
  /** An object that others had changed was restored. */
  repaired(object: RepairedObject): void;
  /** After each pass. */
  reconciled(status: ManagedStatus): void;
}

interface ManagedStatus {
  /** End of the authority that issues; undefined until there is one. */
  readonly authorityEnd: EpochMs | undefined;
  /** Whether the caBundle was what it should be when it was last read. */
  readonly isBundleValid: boolean;
}

interface SecretWrite {
  readonly action: Action;
  /** What was written. */
  readonly material: KeyMaterial;
  /** The Secret before. */
  readonly secret: ObservedSecret;
  readonly secretName: string;
}

const TOO_LONG = 'kept an authority for longer than any certificate of it may be served';

/** Why a certificate is issued. */
const CAUSES: Readonly<Record<IssueReason, string>> = {
  asked: 'the annotation asked for it',
  due: 'the one in use is due for renewal',
  'not valid yet': 'the one in use is not valid yet by the clock of this replica: compare the clocks of the nodes',
};

/**
 * Reports once that the annotation asks for a rotation, which may then wait for minutes.
 * @returns a function to be called with what the annotation asks for, whenever it was read.
 */
export function createRotationReport(
  log: Logger,
  overlapSeconds: number,
): (rotation: 'leaf' | 'ca' | undefined) => void {
  const waitsFor = `the authority of the new certificate has been in the caBundle for ${overlapSeconds} s`;
  let reported: 'leaf' | 'ca' | undefined;
  return (rotation) => {
    if (rotation !== undefined && rotation !== reported) {
      log.info('a rotation begins, as the annotation asks', { rotation, waitsFor });
    }
    reported = rotation;
  };
}

/** Reports that an action was executed and its result written to the Secret. */
export function reportWrite(write: SecretWrite, log: Logger, observer?: CertificateObserver): void {
  const { action, material, secret, secretName } = write;
  if (isRepair(write)) {
    observer?.repaired('secret');
    const cause = action.do === 'write' && action.why === 'limit' ? TOO_LONG : describeDamage(secret);
    log.warn(`${secretName} was repaired`, { cause: `it ${cause}` });
  } else if (action.do === 'promote') {
    const { leaf } = material;
    const rotation = action.material.leaf.authorityPem === leaf.authorityPem ? 'leaf' : 'ca';
    observer?.rotated(rotation);
    log.info('a new certificate is in use', { rotation, until: formatTime(leaf.notAfter) });
  } else if (action.do === 'issue' || action.do === 'replace') {
    const newAuthority = material.authority.certificatePem !== action.material.authority.certificatePem;
    const cause = CAUSES[action.why];
    log.info('a new certificate was issued; it is used once API servers can verify it', { newAuthority, cause });
  } else if (action.do === 'make') {
    log.info('the first certificates were made', { secret: secretName });
  }
}

function isRepair({ action, material, secret }: SecretWrite): boolean {
  if (action.do === 'write') return action.why === 'restore' || action.why === 'keep' || action.why === 'limit';
  return action.do === 'make' && (secret.state !== 'absent' || material.retiring.length > 0);
}

/** What happened to the Secret, as the end of a sentence about it. */
export function describeDamage(secret: ObservedSecret): string {
  switch (secret.state) {
    case 'absent':
      return 'was deleted';
    case 'damaged':
      return `was damaged: ${secret.partial.problems.join('; ')}`;
    case 'valid':
      return 'was replaced with other certificates';
  }
}

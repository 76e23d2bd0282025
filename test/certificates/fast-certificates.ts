/** Real certificates from a few keys that are made once, for tests that need hundreds of them. */
import { generateKeyPairSync } from 'node:crypto';
import {
  type AuthorityOptions,
  createAuthority,
  type GenerateKeys,
  generateKeys,
  issueCertificate,
  type IssueOptions,
  type KeyKind,
  type KeyPair,
} from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';

const POOL: Readonly<Record<KeyKind, readonly KeyPair[]>> = { rsa: await makeKeys('rsa'), ec: await makeKeys('ec') };

function makeKeys(kind: KeyKind): Promise<KeyPair[]> {
  return Promise.all(Array.from({ length: 8 }, () => generateKeys(kind)));
}

/** @param bits length of the RSA key. */
export function generateRsaKeys(bits: number): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: bits,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { publicKeyPem: publicKey, keyPem: privateKey };
}

interface FastCertificates {
  readonly generateKeys: GenerateKeys;
  /** How many keys were taken from the pool. */
  readonly count: () => number;
  readonly createAuthority: (options: AuthorityOptions) => Promise<KeyedCertificate>;
  readonly issueCertificate: (authority: KeyedCertificate, options: IssueOptions) => Promise<KeyedCertificate>;
}

/** Takes keys from the pool in turn. */
export function createFastCertificates(): FastCertificates {
  let count = 0;
  const takeKeys: GenerateKeys = (kind) => {
    const keys = POOL[kind][count % POOL[kind].length];
    count += 1;
    return keys === undefined ? Promise.reject(new Error('the pool is empty')) : Promise.resolve(keys);
  };
  return {
    generateKeys: takeKeys,
    count: () => count,
    createAuthority: (options) => createAuthority(options, takeKeys),
    issueCertificate: (authority, options) => issueCertificate(authority, options, takeKeys),
  };
}

/** Certificates that the product would never issue, built byte by byte: any key, name, date, extension or signature. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { DAY_MS, type EpochMs } from '../../src/time.js';

/** PEM: SPKI and PKCS #8. */
interface OddKeys {
  readonly publicKeyPem: string;
  readonly keyPem: string;
}

type OddKeyKind = 'rsa' | 'rsa1024' | 'p256' | 'ed25519' | 'dsa';

export interface OddOptions {
  readonly name?: string;
  readonly key?: OddKeyKind;
  /** Without one it is self-signed. */
  readonly issuer?: KeyedCertificate;
  readonly issuerName?: Buffer;
  readonly from: EpochMs;
  readonly to: EpochMs;
  readonly extensions: readonly Buffer[];
  readonly hash?: keyof typeof RSA_ALGORITHMS;
  readonly serial?: Buffer;
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const bytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), content]);
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const sequence = (...contents: readonly Buffer[]): Buffer => der(0x30, ...contents);
const oid = (id: string): Buffer => der(0x06, hex(id));

const RSA_ALGORITHMS = {
  md5: '2a864886f70d010104',
  sha1: '2a864886f70d010105',
  sha256: '2a864886f70d01010b',
} as const;
const ECDSA_ALGORITHMS = { md5: '', sha1: '2a8648ce3d0401', sha256: '2a8648ce3d040302' } as const;

/** A name that consists of a common name; `tag` is the kind of string: 0c is UTF8String, 13 PrintableString. */
function encodeName(name: string, tag = 0x0c): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(tag, Buffer.from(name)))));
}

export function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return sequence(oid(id), ...(isCritical ? [hex('0101ff')] : []), der(0x04, value));
}

const usages = (...ids: readonly string[]): Buffer => extension('551d25', sequence(...ids.map(oid)));
const subtree = (kind: number, name: string): Buffer =>
  extension('551d1e', sequence(der(kind, sequence(der(0x82, Buffer.from(name))))), true);

export const EXTENSIONS = {
  ca: extension('551d13', hex('30030101ff'), true),
  notCa: extension('551d13', hex('3000'), true),
  certSign: extension('551d0f', hex('03020106'), true),
  crlSign: extension('551d0f', hex('03020102'), true),
  digitalSignature: extension('551d0f', hex('03020780'), true),
  keyAgreement: extension('551d0f', hex('03020308'), true),
  serverAuth: usages('2b06010505070301'),
  clientAuth: usages('2b06010505070302'),
  unknown: extension('2a0304', hex('0500'), true),
  permitted: (name: string) => subtree(0xa0, name),
  excluded: (name: string) => subtree(0xa1, name),
  names: (...names: readonly Buffer[]) => extension('551d11', sequence(...names)),
  dns: (name: string) => extension('551d11', sequence(der(0x82, Buffer.from(name)))),
};

const keys = new Map<OddKeyKind, OddKeys>();

/** One of each kind is enough. */
function takeKeys(kind: OddKeyKind): OddKeys {
  const made = keys.get(kind) ?? makeKeys(kind);
  keys.set(kind, made);
  return made;
}

function makeKeys(kind: OddKeyKind): OddKeys {
  const { publicKey, privateKey } = ((): ReturnType<typeof generateKeyPairSync> => {
    switch (kind) {
      case 'rsa':
        return generateKeyPairSync('rsa', { modulusLength: 2048 });
      case 'rsa1024':
        return generateKeyPairSync('rsa', { modulusLength: 1024 });
      case 'p256':
        return generateKeyPairSync('ec', { namedCurve: 'P-256' });
      case 'ed25519':
        return generateKeyPairSync('ed25519');
      case 'dsa':
        return generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 });
    }
  })();
  return {
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** Its key is the one of its kind, so an authority and what it issues may have the same. */
export function createOddCertificate(options: OddOptions): KeyedCertificate {
  const { name = 'odd', key = 'rsa', issuer, from, to, extensions, hash = 'sha256' } = options;
  const own = takeKeys(key);
  const signer = createPrivateKey(issuer?.keyPem ?? own.keyPem);
  const algorithm = encodeAlgorithm(signer.asymmetricKeyType, hash);
  const subject = encodeName(name);
  const signed = sequence(
    hex('a003020102'),
    der(0x02, options.serial ?? Buffer.concat([hex('40'), randomBytes(15)])),
    algorithm,
    options.issuerName ?? (issuer === undefined ? subject : readSubject(issuer)),
    sequence(encodeTime(from), encodeTime(to)),
    subject,
    createPublicKey(own.publicKeyPem).export({ type: 'spki', format: 'der' }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  );
  const signature = sign(signer.asymmetricKeyType === 'ed25519' ? null : hash, signed, signer);
  const certificate = sequence(signed, algorithm, der(0x03, hex('00'), signature)).toString('base64');
  const lines = certificate.replace(/.{64}/g, '$&\n').trimEnd();
  return {
    certificatePem: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    keyPem: own.keyPem,
  };
}

const subjects = new WeakMap<KeyedCertificate, Buffer>();

/** Of an odd authority, the name that it was made with. */
function readSubject(issuer: KeyedCertificate): Buffer {
  const subject = subjects.get(issuer);
  if (subject === undefined) throw new Error('only an authority of createOddAuthority');
  return subject;
}

type AuthorityOptions = Omit<OddOptions, 'extensions'> & { readonly extensions?: readonly Buffer[] };

/** One that is sound, unless the options say otherwise; it can issue odd certificates. */
export function createOddAuthority(options: AuthorityOptions): KeyedCertificate {
  const { name = 'odd authority', extensions = [EXTENSIONS.ca, EXTENSIONS.certSign] } = options;
  const authority = createOddCertificate({ ...options, name, extensions });
  subjects.set(authority, encodeName(name));
  return authority;
}

function encodeAlgorithm(kind: string | undefined, hash: keyof typeof RSA_ALGORITHMS): Buffer {
  if (kind === 'rsa') return sequence(oid(RSA_ALGORITHMS[hash]), hex('0500'));
  if (kind === 'ed25519') return sequence(oid('2b6570'));
  if (kind === 'dsa') return sequence(oid('608648016503040302'));
  return sequence(oid(ECDSA_ALGORITHMS[hash]));
}

/** GeneralizedTime, which holds years from 2050 on too. */
function encodeTime(time: EpochMs): Buffer {
  const text = new Date(time).toISOString().replace(/[-:T]|\.\d+/g, '');
  return new Date(time).getUTCFullYear() < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

export interface OddPair {
  readonly authority: KeyedCertificate;
  readonly leaf: KeyedCertificate;
}

/** Pairs of an authority and its server certificate, each with one thing that API servers refuse, and a word of the reason. */
export function listUnsoundPairs(host: string, now: EpochMs): Readonly<Record<string, OddPair & { reason: RegExp }>> {
  const from = (now - DAY_MS) as EpochMs;
  const to = (now + 80 * DAY_MS) as EpochMs;
  const { ca, certSign, crlSign, notCa, digitalSignature, serverAuth, clientAuth, unknown } = EXTENSIONS;
  const dns = EXTENSIONS.dns(host);
  const sound = [notCa, digitalSignature, serverAuth, dns];
  const authority = createOddAuthority({ from, to });
  const issue = (options: Partial<OddOptions>, issuer = authority): OddPair => ({
    authority: issuer,
    leaf: createOddCertificate({ from, to, issuer, extensions: sound, key: 'p256', ...options }),
  });
  const below = (options: Partial<AuthorityOptions>): OddPair =>
    issue({}, createOddAuthority({ from, to, ...options }));
  return {
    'a name in the common name only': {
      ...issue({ name: host, extensions: [notCa, serverAuth] }),
      reason: /subject alternative names/,
    },
    'another name': { ...issue({ extensions: [EXTENSIONS.dns('other.svc')] }), reason: /subject alternative names/ },
    'a wildcard within a label': {
      ...issue({ extensions: [EXTENSIONS.dns(host.replace(/^../, '*'))] }),
      reason: /subject alternative names/,
    },
    'a malformed address beside the name': {
      ...issue({ extensions: [EXTENSIONS.names(der(0x82, Buffer.from(host)), der(0x87, Buffer.alloc(5)))] }),
      reason: /malformed/,
    },
    'for clients only': { ...issue({ extensions: [dns, clientAuth] }), reason: /serverAuth/ },
    'an unknown critical extension': { ...issue({ extensions: [...sound, unknown] }), reason: /critical extension/ },
    'an extension twice': { ...issue({ extensions: [...sound, serverAuth] }), reason: /twice/ },
    'a negative serial number': { ...issue({ serial: Buffer.from([0x80, 1]) }), reason: /negative serial/ },
    'a key of 1024 bits': { ...issue({ key: 'rsa1024' }), reason: /1024|too small/ },
    'signed with SHA-1': { ...issue({ hash: 'sha1' }), reason: /signature|too weak/ },
    'signed with MD5': { ...issue({ hash: 'md5' }), reason: /signature|too weak/ },
    'an issuer in another encoding': {
      ...issue({ issuerName: encodeName('odd authority', 0x13) }),
      reason: /no sound authority|encoded/,
    },
    'an authority that is none': { ...below({ extensions: [notCa] }), reason: /certificate authority|purpose/ },
    'an authority without basicConstraints': {
      ...below({ extensions: [certSign] }),
      reason: /certificate authority|purpose/,
    },
    'an authority that may not sign certificates': {
      ...below({ extensions: [ca, crlSign] }),
      reason: /keyCertSign|key usage/,
    },
    'an authority for clients only': {
      ...below({ extensions: [ca, certSign, clientAuth] }),
      reason: /serverAuth|purpose/,
    },
    'an authority whose constraints permit other names': {
      ...below({ extensions: [ca, certSign, EXTENSIONS.permitted('example.com')] }),
      reason: /name constraints|permitted subtree/,
    },
    'an authority whose constraints exclude the name': {
      ...below({ extensions: [ca, certSign, EXTENSIONS.excluded('svc')] }),
      reason: /name constraints|excluded subtree/,
    },
    'an authority with an unknown critical extension': {
      ...below({ extensions: [ca, certSign, unknown] }),
      reason: /critical extension/,
    },
    'an authority with a key of 1024 bits': { ...below({ key: 'rsa1024' }), reason: /1024|too small/ },
  };
}

/**
 * The state directory. Each file is written under a temporary name beside it and renamed, so that readers see the old file
 * or the new one, even when the sidecar is killed in between.
 */
import { chmodSync, closeSync, openSync, readdirSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CREDENTIAL_USERNAME, credentialFileName } from '../names.js';
import type { EpochSeconds } from '../time.js';

export interface Credential {
  readonly token: string;
  readonly expiresAtSeconds: EpochSeconds;
}

/** All that the sidecar does in its directory. Errors of the file system are thrown unchanged. */
export interface StateDirectory {
  readonly path: string;
  /** Replaces the file. Any user may read it, whatever the umask: the containers run as any user. */
  write(name: string, text: string): void;
  remove(name: string): void;
  /** The credential in a file of ours, or `undefined` where there is none or it is incomplete. */
  readCredential(name: string): Credential | undefined;
  /** Removes credentials of other identities and what a killed writer left. */
  clean(keep: string): void;
}

const TEMPORARY_PREFIX = '.new-';
const CREDENTIAL_PREFIX = credentialFileName('', '').replace(/(?<!-)-+$/, '-');

export function openStateDirectory(path: string): StateDirectory {
  const at = (name: string): string => `${path}/${name}`;
  return {
    path,
    write(name, text) {
      const temporary = at(TEMPORARY_PREFIX + name);
      rmSync(temporary, { force: true });
      try {
        // `wx` never writes through a link that was put there.
        writeFileSync(temporary, text, { flag: 'wx' });
        chmodSync(temporary, 0o644);
        renameSync(temporary, at(name));
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      }
    },
    remove: (name) => rmSync(at(name), { force: true }),
    readCredential: (name) => parseCredential(readText(at(name)) ?? ''),
    clean(keep) {
      for (const name of readdirSync(path)) {
        const isOfAnother = name.startsWith(CREDENTIAL_PREFIX) && name !== keep;
        if (isOfAnother || name.startsWith(TEMPORARY_PREFIX)) rmSync(at(name), { force: true });
      }
    },
  };
}

/** git's credential protocol, as the helper prints it. */
export function formatCredential({ token, expiresAtSeconds }: Credential): string {
  return `username=${CREDENTIAL_USERNAME}\npassword=${token}\npassword_expiry_utc=${expiresAtSeconds}\n`;
}

function parseCredential(text: string): Credential | undefined {
  const match = /^username=(.+)\npassword=([\x21-\x7e]+)\npassword_expiry_utc=(\d{1,12})\n$/.exec(text);
  if (match?.[1] !== CREDENTIAL_USERNAME || match[2] === undefined) return undefined;
  return { token: match[2], expiresAtSeconds: Number(match[3]) as EpochSeconds };
}

/** Longer than any token or credential. */
const MAX_TEXT_BYTES = 128 * 1024;

/** The file's text, or `undefined` where it is missing. Other errors are thrown; of a longer file the beginning is read. */
export function readText(path: string, maxBytes = MAX_TEXT_BYTES): string | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const parts: Buffer[] = [];
    let length = 0;
    while (length < maxBytes) {
      const part = Buffer.alloc(8192);
      const count = readSync(file, part);
      if (count === 0) break;
      parts.push(part.subarray(0, count));
      length += count;
    }
    return Buffer.concat(parts).toString('utf8');
  } finally {
    closeSync(file);
  }
}

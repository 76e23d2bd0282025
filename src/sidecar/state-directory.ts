/**
 * The state directory. Each file is written under a temporary name beside it and renamed, so that readers see the old file
 * or the new one, even when the sidecar is killed in between. Whatever others put under our names (a pipe, a link, a
 * directory) is never opened or followed, and is replaced.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
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
      removeAny(temporary);
      try {
        // `wx` never writes through a link that was put there.
        writeNew(temporary, text);
        // A rename replaces anything but a directory.
        if (lstatSync(at(name), { throwIfNoEntry: false })?.isDirectory()) removeAny(at(name));
        renameSync(temporary, at(name));
      } catch (error) {
        removeAny(temporary);
        throw error;
      }
    },
    remove: (name) => removeAny(at(name)),
    readCredential: (name) => parseCredential(readOwnText(at(name)) ?? ''),
    clean(keep) {
      for (const name of readdirSync(path)) {
        const isOfAnother = name.startsWith(CREDENTIAL_PREFIX) && name !== keep;
        if (isOfAnother || name.startsWith(TEMPORARY_PREFIX)) removeAny(at(name));
      }
    },
  };
}

function removeAny(path: string): void {
  rmSync(path, { force: true, recursive: true });
}

function writeNew(path: string, text: string): void {
  const file = openSync(path, 'wx');
  try {
    fchmodSync(file, 0o644);
    writeFileSync(file, text);
  } finally {
    closeSync(file);
  }
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

const { O_NOFOLLOW, O_NONBLOCK } = constants;

/** Only a file of ours: nothing is followed or waited for, and what is no such file counts as missing. */
function readOwnText(path: string): string | undefined {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  return entry?.isFile() ? readText(path, MAX_TEXT_BYTES, O_NOFOLLOW) : undefined;
}

/**
 * The file's text, or `undefined` where it is missing. Other errors are thrown; of a longer file the beginning is read. What
 * can't be read at once, as a pipe, is an error.
 */
export function readText(path: string, maxBytes = MAX_TEXT_BYTES, flags = 0): string | undefined {
  let file: number;
  try {
    file = openSync(path, flags | O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const entry = fstatSync(file);
    if (!entry.isFile()) throw new Error('it is not a file');
    const bytes = Buffer.alloc(Math.min(entry.size, maxBytes));
    let length = 0;
    // One call may read less.
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null);
    }
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(file);
  }
}

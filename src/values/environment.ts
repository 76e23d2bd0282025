/** Reads single settings of the environment, and collects what is wrong with them. */
import { X509Certificate } from 'node:crypto';
import type { Reader } from './readers.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** An empty value counts as none. */
export interface Settings {
  /** A sentence for each setting that is wrong or missing. */
  readonly problems: string[];
  readonly text: (name: string) => string | undefined;
  readonly read: <T>(name: string, reader: Reader<T>) => T | undefined;
  /** As `read`, but the problem does not show the value, which may hold a secret or many lines. */
  readonly readHidden: <T>(name: string, reader: Reader<T>) => T | undefined;
  /** @param what follows "set it to" where it is missing. */
  readonly require: (name: string, what: string) => string;
}

export function createSettings(environment: Environment): Settings {
  const problems: string[] = [];
  const text = (name: string): string | undefined => {
    const value = environment[name]?.trim();
    return value === '' ? undefined : value;
  };
  const readWith =
    (show: (value: string) => string) =>
    <T>(name: string, reader: Reader<T>): T | undefined => {
      const value = text(name);
      if (value === undefined) return undefined;
      const reading = reader(value);
      if ('value' in reading) return reading.value;
      problems.push(`${name}${show(value)} ${reading.problem}.`);
      return undefined;
    };
  return {
    problems,
    text,
    read: readWith((value) => `: ${JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)}`),
    readHidden: readWith(() => ''),
    require: (name, what) => {
      const value = text(name);
      if (value === undefined) problems.push(`${name} is missing; set it to ${what}.`);
      return value ?? '';
    },
  };
}

/** Kubernetes' DNS-1123 subdomain: what Secrets and ConfigMaps are called. */
const OBJECT_NAME = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
/** Under this value the sidecar gets no `runAsUser`. */
const NO_USER = 'none';
const MAX_USER = 2 ** 31 - 1;

export function readNumber(least: number, most: number): Reader<number> {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    return value >= least && value <= most ? { value } : { problem: `is not a whole number from ${least} to ${most}` };
  };
}

export const readUser: Reader<number | null> = (text) => {
  if (text === NO_USER) return { value: null };
  const reading = readNumber(0, MAX_USER)(text);
  return 'value' in reading ? reading : { problem: `is neither a user id (0 to ${MAX_USER}) nor "${NO_USER}"` };
};

export const readObjectName: Reader<string> = (text) =>
  OBJECT_NAME.test(text) ? { value: text } : { problem: 'is not the name of a Kubernetes object' };

/** Separated by commas. */
export const readObjectNames: Reader<readonly string[]> = (text) => {
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !OBJECT_NAME.test(name));
  return wrong === undefined
    ? { value: names }
    : { problem: `holds "${wrong}", which is not the name of a Kubernetes object` };
};

/** Separated by blanks. */
export const readFlags: Reader<readonly string[]> = (text) => {
  const flags = text.split(/\s+/);
  const wrong = flags.find((flag) => !/^--[a-z][a-z0-9_-]*(?:=\S+)?$/.test(flag));
  return wrong === undefined
    ? { value: flags }
    : { problem: `holds "${wrong}", which is not a flag such as --lite-mode` };
};

export const readOrigin: Reader<string> = (text) =>
  /^https:\/\/[^/?#@\\\s]+\/*$/i.test(text) && URL.canParse(text)
    ? { value: new URL(text).origin }
    : { problem: 'is not an https origin without path, query or password, such as https://login.microsoftonline.com' };

/** The value would stand in every pod and in the audit log, so it holds no password. */
export const readProxy: Reader<string> = (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.protocol === 'http:' && url.username === '' && url.password === '' && url.pathname === '/';
  return isPlain && url.search === '' && url.hash === ''
    ? { value: text }
    : { problem: 'must be http://HOST:PORT, without user name, password and path' };
};

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

export const readPem: Reader<string> = (text) => {
  const blocks = text.match(PEM_BLOCK) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch {
    return { problem: `holds a certificate that can't be parsed; set it to certificates in PEM form` };
  }
  return blocks.length > 0 ? { value: text } : { problem: 'holds no certificate in PEM form' };
};

/** Values that end up in Kubernetes objects: names, and settings of a container. PURE. */
import { type Reader, readList, readOr, readWhole } from './readers.js';

const LABEL = '[a-z0-9]+(?:-+[a-z0-9]+)*';
const LABEL_NAME = new RegExp(`^${LABEL}$`);
const OBJECT_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const KIND = /^[A-Za-z][A-Za-z0-9-]*$/;
/** UIDs are UUIDs, but Kubernetes promises only a text. */
const UID = /^[\x21-\x7e]+$/;
const FLAG = /^--[a-z][a-z0-9_-]*(?:=\S+)?$/;
const MAX_USER_ID = 2 ** 31 - 1;

/** A DNS label (RFC 1123): what namespaces are called. */
export function isNamespaceName(text: string): boolean {
  return text.length <= 63 && LABEL_NAME.test(text);
}

/** A DNS subdomain (RFC 1123): what pods, service accounts, Secrets and ConfigMaps are called. */
export function isObjectName(text: string): boolean {
  return text.length <= 253 && OBJECT_NAME.test(text);
}

/** What names are generated from, by letters that are added: so it may end with a hyphen. */
export function isGenerateName(text: string): boolean {
  return isObjectName(text.length > 1 && text.endsWith('-') ? `${text.slice(0, -1)}a` : text);
}

/** `v1`, or `apps/v1`. */
export function isApiVersion(text: string): boolean {
  const [version = '', group, ...others] = text.split('/', 3).reverse();
  return isNamespaceName(version) && (group === undefined || isObjectName(group)) && others.length === 0;
}

export function isKind(text: string): boolean {
  return text.length <= 63 && KIND.test(text);
}

export function isUid(text: string): boolean {
  return text.length <= 128 && UID.test(text);
}

export const readObjectName: Reader<string> = (text) =>
  isObjectName(text)
    ? { value: text }
    : { problem: 'is not the name of a Kubernetes object; write lower-case letters, digits, hyphens and dots' };

/** A container's `runAsUser`; the word `none` gives `null`, which leaves the field out. */
export const readUserId: Reader<number | null> = (text) =>
  readOr('none', null, readWhole(0, MAX_USER_ID, 'a user id'))(text);

const readFlag: Reader<string> = (text) =>
  FLAG.test(text) ? { value: text } : { problem: 'is not a flag of node; write flags such as --lite-mode' };

/** Flags of node, separated by blanks. */
export const readNodeFlags: Reader<readonly string[]> = (text) => readList(readFlag, ' ')(text.replace(/\s+/g, ' '));

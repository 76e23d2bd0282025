/** Values that end up in Kubernetes objects: names, and settings of a container. PURE. */
import { type Reader, readList, readOr, readWhole } from './readers.js';

/** A DNS-1123 subdomain: what pods, namespaces, Secrets and ConfigMaps are called. */
const OBJECT_NAME = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const FLAG = /^--[a-z][a-z0-9_-]*(?:=\S+)?$/;
const MAX_USER_ID = 2 ** 31 - 1;

export const readObjectName: Reader<string> = (text) =>
  OBJECT_NAME.test(text)
    ? { value: text }
    : { problem: 'is not the name of a Kubernetes object; write lower-case letters, digits, hyphens and dots' };

/** A container's `runAsUser`; the word `none` gives `null`, which leaves the field out. */
export const readUserId: Reader<number | null> = (text) =>
  readOr('none', null, readWhole(0, MAX_USER_ID, 'a user id'))(text);

const readFlag: Reader<string> = (text) =>
  FLAG.test(text) ? { value: text } : { problem: 'is not a flag of node; write flags such as --lite-mode' };

/** Flags of node, separated by blanks. */
export const readNodeFlags: Reader<readonly string[]> = (text) => readList(readFlag, ' ')(text.replace(/\s+/g, ' '));

/**
 * Azure DevOps' own rules for names. Source: "Naming restrictions and conventions" in its documentation. The copies of that
 * page differ in their lists of forbidden characters; only characters that all copies forbid are refused here. PURE.
 */
import type { Reader } from '../values/readers.js';

const ORGANIZATION = /^[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?$/i;
/** Control characters, all characters outside the basic plane, and punctuation. */
const FORBIDDEN_IN_NAME = /[\p{Cc}\p{Cs}\u{10000}-\u{10ffff}\\/:*?"<>;#${},+=[\]|]/u;
const RESERVED_NAME =
  /^(?:app_(?:browsers|code|data|globalresources|localresources|themes|webresources)|bin|web(?:\.config)?|aux|con|nul|prn|server|signalr|defaultcollection|com(?:[1-9]|10)|lpt[1-9])$/i;
const MAX_NAME_LENGTH = 64;

/** Letters, digits and hyphens, at most 50, a letter or digit at both ends. */
export function isOrganizationName(text: string): boolean {
  return ORGANIZATION.test(text);
}

export const readOrganizationName: Reader<string> = (text) =>
  isOrganizationName(text)
    ? { value: text }
    : { problem: 'is not the name of an organization (at most 50 letters, digits and hyphens; no address)' };

/** What is wrong with the name of a project or repository, or `undefined`. Both follow the same rule. */
export function findNameProblem(text: string): string | undefined {
  if (text === '') return 'is empty';
  if (Array.from(text).length > MAX_NAME_LENGTH) return `is longer than ${MAX_NAME_LENGTH} characters`;
  if (FORBIDDEN_IN_NAME.test(text)) return 'holds a character that Azure DevOps does not allow in names';
  if (text.trim() !== text) return 'begins or ends with a blank';
  if (/^[_.]|\.$/.test(text)) return 'begins with an underscore or a period, or ends with a period';
  if (RESERVED_NAME.test(text)) return 'is a name that Azure DevOps reserves';
  return undefined;
}

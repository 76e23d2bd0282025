/** The ids by which Entra knows applications and tenants. PURE. */
import type { Reader } from './readers.js';

export const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DOMAIN = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/i;

/** A client, tenant or application id. */
export function isGuid(text: string): boolean {
  return GUID.test(text);
}

/** A tenant: its id, or one of its verified domains. */
export function isTenant(text: string): boolean {
  return isGuid(text) || DOMAIN.test(text);
}

export const readClientId: Reader<string> = (text) =>
  isGuid(text) ? { value: text } : { problem: 'is not a client id; write it as 00000000-0000-0000-0000-000000000000' };

export const readTenantId: Reader<string> = (text) =>
  isTenant(text)
    ? { value: text }
    : { problem: 'is not a tenant; write its id as 00000000-0000-0000-0000-000000000000, or a verified domain' };

/** Reads the value of each annotation into a type that can't be wrong, or says what is wrong and what would be right. */
import { findNameProblem, isGuid, isOrganizationName, isTenant } from '../git/azure-devops-names.js';
import type { Project } from '../git/remotes.js';
import type { Quantities } from '../kubernetes.js';
import { LOG_LEVELS, MAX_PORT, MIN_PORT, MODES, STARTUPS, TOKEN_LIFETIME } from '../names.js';
import { isObject } from './pod.js';
import { parseQuantity } from './quantity.js';
import { cut, quote } from './sentences.js';

/** A value, or a clause that follows the quoted value in a sentence: what is wrong, and what would be right. */
export type Reading<T> = { readonly value: T } | { readonly problem: string };
export type Reader<T> = (text: string) => Reading<T>;

export interface Identity {
  readonly clientId: string;
  readonly tenantId?: string;
}

export interface SidecarResources {
  readonly requests?: Quantities;
  readonly limits?: Quantities;
}

/** Ways in which git is told of our configuration; `auto` chooses for each container. */
export const CHANNELS = ['env', 'system', 'file'] as const;
export type Channel = (typeof CHANNELS)[number];

const CONTAINER_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const RESOURCES = ['cpu', 'memory', 'ephemeral-storage'] as const;
const TRUSTS = ['git', 'go', 'node', 'python', 'java', 'openssl', 'system'] as const;

export const readClientId: Reader<string> = (text) =>
  isGuid(text) ? { value: text } : { problem: 'is not a client id; write it as 00000000-0000-0000-0000-000000000000' };

export const readTenantId: Reader<string> = (text) =>
  isTenant(text)
    ? { value: text }
    : { problem: 'is not a tenant; write its id as 00000000-0000-0000-0000-000000000000, or a verified domain' };

export function readChoice<T extends string>(choices: readonly T[]): Reader<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    return value === undefined ? { problem: `is not known; write ${joinWords(choices, 'or')}` } : { value };
  };
}

function readWhole(least: number, most: number, what: string): Reader<number> {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    return value >= least && value <= most ? { value } : { problem: `is not ${what} from ${least} to ${most}` };
  };
}

/** A comma-separated list, each item read by itself; blanks around items don't count. */
function readList<T>(readItem: Reader<T>, separator = ','): Reader<readonly T[]> {
  return (text) => {
    const values: T[] = [];
    for (const item of text.split(separator).map((part) => part.trim())) {
      if (item === '') return { problem: `holds an empty item; separate items by one "${separator}"` };
      const reading = readItem(item);
      if ('problem' in reading)
        return { problem: text.trim() === item ? reading.problem : `: ${quote(item)} ${reading.problem}` };
      values.push(reading.value);
    }
    return { value: values };
  };
}

const readOrganization: Reader<string> = (text) =>
  isOrganizationName(text)
    ? { value: text }
    : { problem: 'is not the name of an organization (at most 50 letters, digits and hyphens; no address)' };

const readProject: Reader<Project> = (text) => {
  const [organization = '', project, ...more] = text.split('/');
  if (project === undefined || more.length > 0) return { problem: 'is not of the form organization/project' };
  const problem = findPathProblem([organization, project]);
  return problem === undefined ? { value: { organization, project } } : { problem };
};

const readRepository: Reader<string> = (text) => {
  const segments = text.split('/');
  if (segments.length !== 3) return { problem: 'is not of the form organization/project/repository' };
  const problem = findPathProblem(segments, '*');
  return problem === undefined ? { value: text } : { problem };
};

const readIdentity: Reader<string> = (text) => {
  const [path = '', identity, ...more] = text.split('=');
  const segments = path.split('/');
  const [clientId = '', tenantId, ...rest] = (identity ?? '').split('@');
  if (identity === undefined || more.length > 0 || segments.length > 3 || rest.length > 0) {
    return { problem: 'is not of the form organization[/project[/repository]]=client-id[@tenant-id]' };
  }
  if (!isGuid(clientId)) return { problem: `has ${quote(clientId)} where a client id must stand` };
  if (tenantId !== undefined && !isTenant(tenantId))
    return { problem: `has ${quote(tenantId)} where a tenant must stand` };
  const problem = findPathProblem(segments);
  return problem === undefined ? { value: text } : { problem };
};

function findPathProblem(segments: readonly string[], wildcard?: string): string | undefined {
  for (const [index, segment] of segments.entries()) {
    if (segment === wildcard) continue;
    if (index === 0) {
      if (!isOrganizationName(segment)) return `has ${quote(segment)} where the name of an organization must stand`;
      continue;
    }
    const problem = findNameProblem(segment);
    if (problem !== undefined)
      return `has a ${index === 1 ? 'project' : 'repository'} name ${quote(segment)} that ${problem}`;
  }
  return undefined;
}

const readContainerName: Reader<string> = (text) =>
  CONTAINER_NAME.test(text) ? { value: text } : { problem: 'is not the name of a container' };

const readGitConfig: Reader<'auto' | readonly Channel[]> = (text) => {
  if (text === 'auto') return { value: 'auto' };
  const reading = readList(readChoice(CHANNELS))(text);
  return 'value' in reading ? reading : { problem: 'is not known; write auto, or some of env, system and file' };
};

/** JSON `requests` and `limits`, as a container's `resources`. */
export const readResources: Reader<SidecarResources> = (text) => {
  const shape = 'write JSON such as {"requests":{"cpu":"10m","memory":"32Mi"},"limits":{"memory":"64Mi"}}';
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { problem: `is not JSON; ${shape}` };
  }
  if (!isObject(parsed)) return { problem: `is not an object; ${shape}` };
  for (const [section, quantities] of Object.entries(parsed)) {
    if (section !== 'requests' && section !== 'limits') return { problem: `holds ${quote(section)}; ${shape}` };
    if (!isObject(quantities)) return { problem: `holds ${section} that are not an object; ${shape}` };
    for (const [resource, quantity] of Object.entries(quantities)) {
      if (!RESOURCES.some((known) => known === resource)) {
        return { problem: `holds ${section}.${cut(resource)}; write ${joinWords(RESOURCES, 'or')}` };
      }
      const number = typeof quantity === 'string' || typeof quantity === 'number' ? parseQuantity(quantity) : undefined;
      if (number === undefined || number < 0) return { problem: `holds ${section}.${resource} that is not a quantity` };
    }
  }
  const resources = parsed as SidecarResources;
  for (const [resource, limit] of Object.entries(resources.limits ?? {})) {
    const request = resources.requests?.[resource];
    if (request !== undefined && (parseQuantity(request) ?? 0) > (parseQuantity(limit) ?? 0)) {
      return { problem: `requests more ${resource} than it limits` };
    }
  }
  return { value: resources };
};

/** How each annotation of the group is read; `inject` counts on pods alone. */
export const READERS = {
  inject: readChoice(['enabled', 'disabled']),
  clientId: readClientId,
  tenantId: readTenantId,
  identities: readList(readIdentity),
  mode: readChoice(MODES),
  organizations: readList(readOrganization),
  projects: readList(readProject),
  repositories: readList(readRepository),
  access: readChoice(['write', 'read']),
  trust: readList(readChoice(TRUSTS)),
  containers: readList(readContainerName),
  gitConfig: readGitConfig,
  startup: readChoice(STARTUPS),
  port: readWhole(MIN_PORT, MAX_PORT, 'a port'),
  sidecarResources: readResources,
  logLevel: readChoice(LOG_LEVELS),
} as const;

/** The annotations that the Azure webhook defines, read as it does. */
export const AZURE_READERS = {
  clientId: readClientId,
  tenantId: readTenantId,
  tokenExpiration: readWhole(TOKEN_LIFETIME.min, TOKEN_LIFETIME.max, 'a number of seconds'),
  skipContainers: ((text) => ({
    value: text
      .split(';')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  })) satisfies Reader<readonly string[]>,
} as const;

/** `a, b or c`. */
export function joinWords(words: readonly string[], conjunction: 'and' | 'or'): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} ${conjunction} ${words.at(-1) ?? ''}`;
}

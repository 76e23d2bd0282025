/** Reads the value of each annotation into a type that can't be wrong, or says what is wrong and what would be right. PURE. */
import { findNameProblem, isOrganizationName, readOrganizationName } from '../git/naming-rules.js';
import type { Project } from '../git/remotes.js';
import type { Quantities } from '../kubernetes/types.js';
import {
  type Channel,
  CHANNELS,
  LOG_LEVELS,
  MAX_PORT,
  MIN_PORT,
  MODES,
  STARTUPS,
  TOKEN_LIFETIME,
  TRUSTS,
} from '../names.js';
import { isGuid, isTenant, readClientId, readTenantId } from '../values/entra-ids.js';
import { isObject } from '../values/json.js';
import { readChoice, type Reader, readList, readWhole } from '../values/readers.js';
import { joinWords, quote, truncate } from '../values/text.js';
import { parseQuantity } from './quantity.js';

export interface SidecarResources {
  readonly requests?: Quantities;
  readonly limits?: Quantities;
}

const CONTAINER_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const RESOURCES = ['cpu', 'memory', 'ephemeral-storage'] as const;

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
        return { problem: `holds ${section}.${truncate(resource)}; write ${joinWords(RESOURCES, 'or')}` };
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
  organizations: readList(readOrganizationName),
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

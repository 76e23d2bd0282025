/** How the value of each annotation is read: into a type that can't be wrong, or a clause that says what would be right. PURE. */
import { MAX_PORT, MIN_PORT, TOKEN_LIFETIME_SECONDS } from '../defaults.js';
import { findNameProblem, isOrganizationName, readOrganizationName } from '../git/naming-rules.js';
import type { Project } from '../git/remotes.js';
import type { Quantities } from '../kubernetes/types.js';
import { type Channel, CHANNELS, LOG_LEVELS, MODES, STARTUPS, TRUSTS } from '../names.js';
import { isGuid, isTenant, readClientId, readTenantId } from '../values/entra-ids.js';
import { isObject } from '../values/json.js';
import { readChoice, type Reader, readList, readWhole, splitItems } from '../values/readers.js';
import { joinWords, quote, showName } from '../values/text.js';
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
  if (!isGuid(clientId)) return { problem: `has ${quote(clientId)} in place of a client id` };
  if (tenantId !== undefined && !isTenant(tenantId)) return { problem: `has ${quote(tenantId)} in place of a tenant` };
  const problem = findPathProblem(segments);
  return problem === undefined ? { value: text } : { problem };
};

function findPathProblem(segments: readonly string[], wildcard?: string): string | undefined {
  for (const [index, segment] of segments.entries()) {
    if (segment === wildcard) continue;
    if (index === 0) {
      if (!isOrganizationName(segment)) return `has ${quote(segment)} in place of an organization's name`;
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

const RESOURCES_SHAPE = 'write JSON such as {"requests":{"cpu":"10m","memory":"32Mi"},"limits":{"memory":"64Mi"}}';

/** JSON `requests` and `limits`, as in a container's `resources`. */
export const readResources: Reader<SidecarResources> = (text) => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { problem: `is not JSON; ${RESOURCES_SHAPE}` };
  }
  if (!isObject(parsed)) return { problem: `is not an object; ${RESOURCES_SHAPE}` };
  for (const [section, quantities] of Object.entries(parsed)) {
    const problem = findSectionProblem(section, quantities);
    if (problem !== undefined) return { problem };
  }
  const resources = parsed as SidecarResources;
  const excessive = findExcessiveRequest(resources);
  return excessive === undefined
    ? { value: resources }
    : { problem: `requests more ${excessive} than its limit allows` };
};

function findSectionProblem(section: string, quantities: unknown): string | undefined {
  if (section !== 'requests' && section !== 'limits') return `holds ${quote(section)}; ${RESOURCES_SHAPE}`;
  if (!isObject(quantities)) return `holds ${section} that are not an object; ${RESOURCES_SHAPE}`;
  for (const [resource, quantity] of Object.entries(quantities)) {
    if (!RESOURCES.some((known) => known === resource)) {
      return `holds ${section}.${showName(resource)}; write ${joinWords(RESOURCES, 'or')}`;
    }
    const number = typeof quantity === 'string' || typeof quantity === 'number' ? parseQuantity(quantity) : undefined;
    if (number === undefined || number < 0) return `holds ${section}.${resource} that is not a quantity`;
  }
  return undefined;
}

/** The name of a resource of which more is requested than its limit. */
function findExcessiveRequest({ requests, limits }: SidecarResources): string | undefined {
  return Object.keys(limits ?? {}).find((resource) => {
    const request = parseQuantity(requests?.[resource]);
    const limit = parseQuantity(limits?.[resource]);
    return request !== undefined && limit !== undefined && request > limit;
  });
}

/** A reader for each annotation of the group. */
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

/** A reader for each annotation of the Azure webhook, which reads it as that webhook does. */
export const AZURE_READERS = {
  clientId: readClientId,
  tenantId: readTenantId,
  tokenExpiration: readWhole(TOKEN_LIFETIME_SECONDS.min, TOKEN_LIFETIME_SECONDS.max, 'a number of seconds'),
  skipContainers: ((text) => {
    const items = splitItems(text, ';');
    if ('problem' in items) return items;
    return { value: items.value.map((name) => name.trim()).filter((name) => name !== '') };
  }) satisfies Reader<readonly string[]>,
} as const;

/** The URLs of Azure DevOps' repositories, LFS objects and REST API; names are case-insensitive. */

export interface RepositoryName {
  readonly organization: string;
  readonly project: string;
  readonly repository: string;
}

/** What a request is for; `path` is what follows the repository or `_apis`, without a leading slash. */
export type Target =
  | ({ readonly kind: 'git' | 'lfs'; readonly path: string } & RepositoryName)
  | { readonly kind: 'rest'; readonly organization: string; readonly path: string }
  | { readonly kind: 'sign-in' };

const LFS_PATH = 'info/lfs/';

/** The target of a URL, or `undefined` where Azure DevOps has no such page. */
export function parseTarget(url: URL): Target | undefined {
  const segments = decodeSegments(url.pathname);
  if (segments === undefined) return undefined;
  if (segments[0] === '_signin') return { kind: 'sign-in' };
  const organization = takeOrganization(url.hostname.toLowerCase(), segments);
  if (organization === undefined) return undefined;
  const api = segments.indexOf('_apis');
  if (api === 0 || api === 1) return { kind: 'rest', organization, path: segments.slice(api + 1).join('/') };
  return parseRepository(organization, segments);
}

/** The part of the path after the organization: `PROJECT/_git/REPOSITORY/…`, or `_git/REPOSITORY/…`. */
function parseRepository(organization: string, segments: readonly string[]): Target | undefined {
  const marker = segments.indexOf('_git');
  if (marker !== 0 && marker !== 1) return undefined;
  const rest = segments.slice(marker + 1);
  if (rest[0] === '_full' || rest[0] === '_optimized') rest.shift();
  const name = rest.shift();
  if (name === undefined) return undefined;
  const path = rest.join('/');
  const isLfs = name.endsWith('.git') && path.startsWith(LFS_PATH);
  const repository = isLfs ? name.slice(0, -'.git'.length) : name;
  // The short form is for a repository with the name of its project.
  const project = marker === 0 ? repository : (segments[0] ?? '');
  return isLfs
    ? { kind: 'lfs', organization, project, repository, path: path.slice(LFS_PATH.length) }
    : { kind: 'git', organization, project, repository, path };
}

/** The organization in the host or the path; removes from the segments what belongs to it. */
function takeOrganization(host: string, segments: string[]): string | undefined {
  if (host === 'dev.azure.com') return segments.shift();
  if (!host.endsWith('.visualstudio.com')) return undefined;
  if (segments[0]?.toLowerCase() === 'defaultcollection') segments.shift();
  return host.slice(0, -'.visualstudio.com'.length);
}

function decodeSegments(pathname: string): string[] | undefined {
  try {
    return pathname.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

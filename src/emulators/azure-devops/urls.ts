/** The URL shapes under which Azure DevOps serves repositories, LFS objects and its REST API; names are case-insensitive. */

export interface RepositoryName {
  readonly organization: string;
  readonly project: string;
  readonly repository: string;
}

/** What a request asks for; `path` is what follows the repository or `_apis`, without a leading slash. */
export type Target =
  | ({ readonly kind: 'git' | 'lfs'; readonly path: string } & RepositoryName)
  | { readonly kind: 'rest'; readonly organization: string; readonly path: string }
  | { readonly kind: 'sign-in' };

/** The target of a URL, or `undefined` where Azure DevOps has no such page. */
export function parseTarget(url: URL): Target | undefined {
  const segments = decodeSegments(url.pathname);
  if (segments === undefined) return undefined;
  if (segments[0] === '_signin') return { kind: 'sign-in' };
  const organization = takeOrganization(url.hostname.toLowerCase(), segments);
  if (organization === undefined) return undefined;
  const api = segments.indexOf('_apis');
  if (api === 0 || api === 1) return { kind: 'rest', organization, path: segments.slice(api + 1).join('/') };
  const marker = segments.indexOf('_git');
  if (marker !== 0 && marker !== 1) return undefined;
  const rest = segments.slice(marker + 1);
  if (rest[0] === '_full' || rest[0] === '_optimized') rest.shift();
  const repository = rest.shift();
  if (repository === undefined) return undefined;
  // The short form: a repository that bears its project's name.
  const project = marker === 0 ? repository : (segments[0] ?? '');
  const path = rest.join('/');
  if (repository.endsWith('.git') && path.startsWith('info/lfs/')) {
    const name = repository.slice(0, -'.git'.length);
    return {
      kind: 'lfs',
      organization,
      project: marker === 0 ? name : project,
      repository: name,
      path: path.slice('info/lfs/'.length),
    };
  }
  return { kind: 'git', organization, project, repository, path };
}

/** Takes the organization from host or path, and from the segments what belongs to it. */
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

/** The organizations of the emulator: commits, a submodule, an LFS object, and names with blanks. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { createPrograms } from '../process.js';
import { getLfsDirectory } from './lfs.js';
import { getRepositoryPath, type Organization } from './server.js';

type Files = Readonly<Record<string, string>>;

interface Seed {
  readonly organization: string;
  readonly project: string;
  readonly repository: string;
  readonly files: Files;
  /** Files that are LFS objects. */
  readonly lfs?: Files;
  /** A submodule; its commit is the head of the named repository in the same project. */
  readonly submodule?: { readonly path: string; readonly url: string; readonly repository: string };
}

/** Content of the only LFS object, to compare with. */
export const LFS_CONTENT = 'This line is part of a large picture.\n'.repeat(2000);

const SEEDS: readonly Seed[] = [
  createSeed('contoso', 'payments', 'library', { 'library.txt': 'shared by many\n' }),
  {
    ...createSeed('contoso', 'payments', 'api', { 'README.md': '# Payments API\n', 'src/main.txt': 'hello\n' }),
    submodule: {
      path: 'library',
      url: 'https://contoso@dev.azure.com/contoso/payments/_git/library',
      repository: 'library',
    },
  },
  createSeed('contoso', 'Web Shop', 'store front', { 'README.md': '# Store front\n' }),
  {
    ...createSeed('contoso', 'assets', 'assets', { '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n' }),
    lfs: { 'picture.bin': LFS_CONTENT },
  },
  createSeed('fabrikam', 'platform', 'tools', { 'README.md': '# Tools\n' }),
];

/**
 * Creates the bare repositories below `root`; returns their organizations.
 * @param members access of the client ids, by organization.
 */
export async function createOrganizations(
  root: string,
  tenantId: string,
  members: Readonly<Record<string, Organization['members']>>,
  searchPath: string,
): Promise<readonly Organization[]> {
  const heads = new Map<string, string>();
  for (const one of SEEDS) heads.set(one.repository, await createRepository(root, one, heads, searchPath));
  return [...new Set(SEEDS.map(({ organization }) => organization))].map((name) => ({
    name,
    tenantId,
    members: members[name] ?? {},
    projects: listProjects(name),
  }));
}

function createSeed(organization: string, project: string, repository: string, files: Files): Seed {
  return { organization, project, repository, files };
}

function listProjects(organization: string): Organization['projects'] {
  const seeds = SEEDS.filter((one) => one.organization === organization);
  return [...new Set(seeds.map(({ project }) => project))].map((name) => ({
    name,
    repositories: seeds.filter(({ project }) => project === name).map(({ repository }) => repository),
  }));
}

/** Creates a bare repository with one commit on `main`; returns the commit's id. */
async function createRepository(
  root: string,
  { organization, project, repository, files, lfs = {}, submodule }: Seed,
  heads: ReadonlyMap<string, string>,
  searchPath: string,
): Promise<string> {
  const bare = join(root, getRepositoryPath(organization, project, repository));
  const env = { PATH: searchPath, HOME: devNull, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: devNull };
  const git = async (args: readonly string[], input?: string): Promise<string> => {
    const result = await createPrograms().run('git', args, { env, ...(input === undefined ? {} : { input }) });
    if (result.code !== 0) throw new Error(`git ${args.join(' ')} failed: ${result.stderr.trim()}`);
    return result.stdout.trim();
  };
  await mkdir(bare, { recursive: true });
  await git(['init', '--quiet', '--bare', '--initial-branch=main', bare]);
  const pointers: [string, string][] = [];
  for (const [path, content] of Object.entries(lfs)) pointers.push([path, await storeLfsObject(bare, content)]);
  const stream = [
    'commit refs/heads/main',
    'committer Ada <ada@contoso.example> 1700000000 +0000',
    writeData('first commit'),
    ...Object.entries({ ...files, ...Object.fromEntries(pointers) }).map(writeFileCommand),
  ];
  if (submodule !== undefined) {
    const modules = `[submodule "${submodule.path}"]\n\tpath = ${submodule.path}\n\turl = ${submodule.url}\n`;
    stream.push(writeFileCommand(['.gitmodules', modules]));
    stream.push(`M 160000 ${heads.get(submodule.repository) ?? ''} ${submodule.path}`);
  }
  await git(['-C', bare, 'fast-import', '--quiet'], `${stream.join('\n')}\n`);
  return git(['-C', bare, 'rev-parse', 'main']);
}

/** `git fast-import`'s command for one file. */
function writeFileCommand([path, content]: readonly [string, string]): string {
  return `M 100644 inline ${path}\n${writeData(content)}`;
}

function writeData(content: string): string {
  return `data ${Buffer.byteLength(content)}\n${content}`;
}

/** Stores the object; returns the pointer file that replaces it in the commit. */
async function storeLfsObject(bare: string, content: string): Promise<string> {
  const objectId = createHash('sha256').update(content).digest('hex');
  await mkdir(getLfsDirectory(bare), { recursive: true });
  await writeFile(join(getLfsDirectory(bare), objectId), content);
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${objectId}\nsize ${Buffer.byteLength(content)}\n`;
}

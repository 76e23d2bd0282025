/** Chapter 3: this machine's git, with real URLs, in the environment of the pod's container. */
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LFS_CONTENT, type RunningPod } from '../../emulators/index.js';
import { type Context, git, REPOSITORY, runGit } from '../context.js';
import { check } from '../steps.js';

/** Each clone has a directory of its own. */
interface Clone {
  readonly url: string;
  /** A file that must be in the clone. */
  readonly file: string;
  readonly options?: readonly string[];
  readonly note: string;
}

const CLONES: readonly Clone[] = [
  {
    url: REPOSITORY,
    options: ['--recurse-submodules'],
    file: 'library/library.txt',
    note: "with its submodule, which has the URL from Azure DevOps' web page: https://contoso@dev.azure.com/…",
  },
  {
    url: 'git@ssh.dev.azure.com:v3/contoso/payments/library',
    file: 'library.txt',
    note: "an SSH remote: rewritten to HTTPS, as a managed identity can't have an SSH key",
  },
  {
    url: 'https://contoso.visualstudio.com/DefaultCollection/payments/_git/library',
    file: 'library.txt',
    note: 'the older host of the same organization',
  },
  {
    url: 'https://dev.azure.com/contoso/Web%20Shop/_git/store%20front',
    file: 'README.md',
    note: 'names with blanks',
  },
  {
    url: 'https://dev.azure.com/fabrikam/platform/_git/tools',
    file: 'README.md',
    note: 'a second organization, with the same token; there the identity may only read',
  },
];

export async function runGitChapter(context: Context, pod: RunningPod): Promise<void> {
  const { terminal, step, azure } = context;
  terminal.chapter('git clones and pushes');
  terminal.explain(
    `Two variables connect the real names with the emulators: https_proxy=${azure.proxy.url} and GIT_SSL_CAINFO. ` +
      'In a cluster git gets neither.',
  );
  for (const [index, { url, file, options = [], note }] of CLONES.entries()) {
    await step(`git clone ${[...options, url].join(' ')}`, async () => {
      const directory = `clone-${index}`;
      await git(pod, ['clone', ...options, url, directory]);
      await access(pod.locate(join('/data', directory, file)));
    });
    terminal.explain(note);
  }
  await step('git commit and git push, and the commit is in the repository', async () => {
    const directory = 'clone-0';
    await writeFile(pod.locate(join('/data', directory, 'new.txt')), 'written in the pod\n');
    await git(pod, ['add', '.'], { directory });
    await git(pod, ['commit', '--message', 'from the pod'], { directory });
    await git(pod, ['push'], { directory });
    const head = (await git(pod, ['rev-parse', 'HEAD'], { directory })).trim();
    check(
      (await git(pod, ['ls-remote', REPOSITORY, 'main'])).startsWith(head),
      'the pushed commit is not in the repository',
    );
  });
  const refusal = await step('Azure DevOps refuses git push to the second organization', async () => {
    const directory = 'clone-4';
    await git(pod, ['commit', '--allow-empty', '--message', 'from the pod'], { directory });
    const { code, stderr } = await runGit(pod, ['push'], { directory });
    check(code !== 0 && stderr.includes('TF401027'), `git push ended with exit code ${code}:\n${stderr}`);
    return stderr.split('\n').find((line) => line.includes('TF401027')) ?? '';
  });
  terminal.explain(refusal);
  await cloneAndPushLfs(context, pod);
}

async function cloneAndPushLfs({ skip, step }: Context, pod: RunningPod): Promise<void> {
  const url = 'https://dev.azure.com/contoso/_git/assets';
  const title = `git clone ${url}, with Git LFS, and a push of a new object`;
  if ((await runGit(pod, ['lfs', 'version'])).code !== 0) {
    skip(title, 'git-lfs is not installed on this machine');
    return;
  }
  await step(title, async () => {
    await git(pod, ['lfs', 'install', '--skip-repo']);
    await git(pod, ['clone', url, 'assets']);
    const file = pod.locate('/data/assets/picture.bin');
    check((await readFile(file, 'utf8')) === LFS_CONTENT, 'git did not get the LFS object');
    const changed = LFS_CONTENT.toUpperCase();
    await writeFile(file, changed);
    await git(pod, ['commit', '--all', '--message', 'louder'], { directory: 'assets' });
    await git(pod, ['push'], { directory: 'assets' });
    await git(pod, ['clone', url, 'assets-again']);
    const again = await readFile(pod.locate('/data/assets-again/picture.bin'), 'utf8');
    check(again === changed, 'the pushed LFS object is not in the repository');
  });
}

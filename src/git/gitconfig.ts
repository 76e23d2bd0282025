/** The texts that git reads: our configuration, and the one that replaces the system's. PURE. */
import { CONFIG_DIRECTORY, CONFIG_FILE, SYSTEM_GITCONFIG } from '../names.js';
import { type Project, rewriteSshRemotes } from './remotes.js';

/** The hosts that are served. `*` matches one label; a URL with a user name matches too (git, urlmatch.c). */
const SERVED_URLS = ['https://dev.azure.com', 'https://*.visualstudio.com'] as const;

/** Where the texts are in an injected container. */
export const GITCONFIG_PATH = `${CONFIG_DIRECTORY}/${CONFIG_FILE.gitconfig}`;
const HELPER_PATH = `${CONFIG_DIRECTORY}/${CONFIG_FILE.helper}`;
export const GITCONFIG_SYSTEM_PATH = `${CONFIG_DIRECTORY}/${CONFIG_FILE.gitconfigSystem}`;

/**
 * git's configuration. For the served hosts only, it makes our credential helper the only one and passes the URL's path to
 * it, which names the organization. It also saves the 401 round (git 2.46 and later) and limits retries (git 2.54 and
 * later would otherwise repeat for ever after a 429). SSH remotes of the named projects are rewritten, since a principal
 * can't have an SSH key.
 *
 * @param maxLength characters; `undefined` is returned as soon as the text has more.
 */
export function renderGitconfig(projects: readonly Project[], maxLength: number): string | undefined {
  const sections = SERVED_URLS.flatMap((url) => [
    renderSection('credential', url, [
      ['helper', ''],
      ['helper', `!/bin/sh ${HELPER_PATH}`],
      ['useHttpPath', 'true'],
    ]),
    renderSection('http', url, [
      ['proactiveAuth', 'basic'],
      ['maxRetries', '3'],
    ]),
  ]);
  let text = ['# Written by ado-git-identity when the pod was created.\n', ...sections].join('');
  for (const project of projects) {
    const { to, from } = rewriteSshRemotes(project);
    text += renderSection(
      'url',
      to,
      from.map((prefix) => ['insteadOf', prefix]),
    );
    if (text.length > maxLength) return undefined;
  }
  return text;
}

/** The file that `GIT_CONFIG_SYSTEM` names: the image's own system configuration, then ours. */
export function renderGitconfigSystem(): string {
  return `# Written by ado-git-identity when the pod was created.\n[include]\n\tpath = ${SYSTEM_GITCONFIG}\n\tpath = ${GITCONFIG_PATH}\n`;
}

function renderSection(section: string, subsection: string, entries: readonly (readonly [string, string])[]): string {
  const lines = entries.map(
    ([key, value]) => `\t${key} = ${/["\\#;]|^\s|\s$/.test(value) ? quote(value) : value}`.trimEnd() + '\n',
  );
  return `[${section} ${quote(subsection)}]\n${lines.join('')}`;
}

/** git's quoting; line ends can't occur in names that passed `findNameProblem`. */
function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

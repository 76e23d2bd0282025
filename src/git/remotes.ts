/** How SSH remotes of a project are written, and the HTTPS address of the same repositories. PURE. */

export interface Project {
  readonly organization: string;
  readonly project: string;
}

interface Rewrite {
  /** Address that git uses instead; ends with a slash. */
  readonly to: string;
  /** Prefixes that it replaces; each ends with a slash. */
  readonly from: readonly string[];
}

/**
 * The `insteadOf` rules of one project: scp form, `ssh://` with and without port 22, and the older `vs-ssh` host. Each is
 * given as written and in lower case, with blanks as `%20`, and with letters beyond ASCII also percent-encoded. Other
 * spellings are not rewritten: git compares prefixes case-sensitively, unlike Azure DevOps.
 */
export function rewriteSshRemotes({ organization, project }: Project): Rewrite {
  const from = new Set<string>();
  for (const [owner, name] of [
    [organization, project],
    [organization.toLowerCase(), project.toLowerCase()],
  ] as const) {
    for (const path of new Set([name.replaceAll(' ', '%20'), encodeURIComponent(name)])) {
      for (const login of ['git@ssh.dev.azure.com', `${owner}@vs-ssh.visualstudio.com`]) {
        from.add(`${login}:v3/${owner}/${path}/`);
        from.add(`ssh://${login}/v3/${owner}/${path}/`);
        from.add(`ssh://${login}:22/v3/${owner}/${path}/`);
      }
    }
  }
  return { to: `https://dev.azure.com/${organization}/${encodeURIComponent(project)}/_git/`, from: [...from] };
}

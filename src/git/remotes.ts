/** How SSH remotes of a project are spelled, and the HTTPS address that serves the same repositories. PURE. */

export interface Project {
  readonly organization: string;
  readonly project: string;
}

export interface Rewrite {
  /** Address that git uses instead; ends with a slash. */
  readonly to: string;
  /** Prefixes that it stands for; each ends with a slash. */
  readonly from: readonly string[];
}

/**
 * The `insteadOf` rules of one project: scp form, `ssh://` with and without port 22, and the older `vs-ssh` host, as
 * written and in lower case, blanks as `%20` and letters beyond ASCII also percent-encoded. git compares prefixes with
 * case, Azure DevOps without: other spellings are not rewritten.
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

/**
 * What the pod's containers find in the state directory: the credential, what the helper needs, and the status. A file is
 * written when its content changes. A failure stops nothing: it is logged, and the next batch tries again.
 */
import type { Identity } from '../entra/identity.js';
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import { credentialFileName, STATE_FILE } from '../names.js';
import { type DerivedState, deriveState, formatHelperState, type Snapshot } from './message-for-git.js';
import { type Credential, formatCredential, type StateDirectory } from './state-directory.js';
import { formatStatus, type Program } from './status-document.js';

export interface StatePublisherOptions {
  readonly identity: Identity;
  readonly program: Program;
  readonly directory: StateDirectory;
  readonly log: Logger;
}

export interface StatePublisher {
  /** Why the directory can't be written, a sentence; what is known of it so far in this batch. */
  readonly problem: () => string | undefined;
  /** Runs a batch of writes. A problem is logged when it begins or changes, and when it is resolved. */
  readonly batch: (write: () => void) => void;
  /** What an earlier run left. */
  readonly readCredential: () => Credential | undefined;
  /** @returns whether the credential is in its file. */
  readonly writeCredential: (credential: Credential) => boolean;
  readonly removeCredential: () => void;
  /** @param takeSnapshot is called for each file, since a file that can't be written is part of what the next one says. */
  readonly publish: (takeSnapshot: () => Snapshot) => void;
  /** Only what the helper needs. */
  readonly publishHelperState: (state: DerivedState) => void;
}

export function createStatePublisher(options: StatePublisherOptions): StatePublisher {
  const { identity, program, directory, log } = options;
  const credentialFile = credentialFileName(identity.clientId, identity.tenantId);
  let isClean = false;
  let problem: string | undefined;
  let loggedProblem: string | undefined;
  const published = new Map<string, string>();

  const attempt = (action: () => void): boolean => {
    try {
      action();
      return true;
    } catch (error) {
      problem ??= `The sidecar can't write its directory ${directory.path}: ${describeError(error)}.`;
      return false;
    }
  };
  const replace = (name: string, text: string): void => {
    if (published.get(name) === text) return;
    if (attempt(() => directory.write(name, text))) published.set(name, text);
  };
  const publishHelperState = (state: DerivedState): void => {
    replace(STATE_FILE.helper, formatHelperState(state, credentialFile));
  };
  const logChange = (): void => {
    if (problem === loggedProblem) return;
    if (problem === undefined) log.info(`the directory ${directory.path} can be written again`);
    else log.error(problem);
    loggedProblem = problem;
  };

  return {
    problem: () => problem,
    batch(write) {
      problem = undefined;
      write();
      // Removes what other identities and killed writers left; tried again until it succeeds.
      isClean ||= attempt(() => directory.clean(credentialFile));
      logChange();
    },
    readCredential() {
      let found: Credential | undefined;
      attempt(() => (found = directory.readCredential(credentialFile)));
      return found;
    },
    writeCredential: (credential) => attempt(() => directory.write(credentialFile, formatCredential(credential))),
    removeCredential: () => void attempt(() => directory.remove(credentialFile)),
    publish(takeSnapshot) {
      publishHelperState(deriveState(takeSnapshot()));
      replace(STATE_FILE.status, formatStatus(program, takeSnapshot()));
    },
    publishHelperState,
  };
}

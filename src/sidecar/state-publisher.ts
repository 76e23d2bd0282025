/**
 * What the pod's containers find in the state directory: the credential, what the helper needs, and the status. A file is
 * written when it changes. Trouble ends nothing: it is told, and the next round tries again.
 */
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import { STATE_FILE } from '../names.js';
import { type Credential, formatCredential, type StateDirectory } from './state-directory.js';
import { type DerivedState, formatHelperState } from './status.js';

export interface StatePublisherOptions {
  readonly directory: StateDirectory;
  /** Name of the identity's credential file. */
  readonly credentialFile: string;
  readonly log: Logger;
}

export class StatePublisher {
  private readonly options: StatePublisherOptions;
  private isClean = false;
  private currentProblem: string | undefined;
  private loggedProblem: string | undefined;
  /** What each file holds. */
  private readonly published = new Map<string, string>();

  constructor(options: StatePublisherOptions) {
    this.options = options;
  }

  /** Why the directory can't be written, a sentence; as far as this round has come. */
  get problem(): string | undefined {
    return this.currentProblem;
  }

  /** Runs a round: what it can't write is logged once, when that begins or changes, and once when it is over. */
  batch(write: () => void): void {
    this.currentProblem = undefined;
    write();
    if (!this.isClean) this.clean();
    const { problem, loggedProblem } = this;
    if (problem === loggedProblem) return;
    const { directory, log: log } = this.options;
    if (problem === undefined) log.info(`the directory ${directory.path} can be written again`);
    else log.error(problem);
    this.loggedProblem = problem;
  }

  /** What an earlier run left. */
  readCredential(): Credential | undefined {
    let found: Credential | undefined;
    this.attempt(({ directory, credentialFile }) => (found = directory.readCredential(credentialFile)));
    return found;
  }

  /** @returns whether it stands in its file. */
  writeCredential(credential: Credential): boolean {
    return this.attempt(({ directory, credentialFile }) =>
      directory.write(credentialFile, formatCredential(credential)),
    );
  }

  removeCredential(): void {
    this.attempt(({ directory, credentialFile }) => directory.remove(credentialFile));
  }

  publishHelperState(verdict: DerivedState): void {
    this.replace(STATE_FILE.helper, formatHelperState(verdict, this.options.credentialFile));
  }

  publishStatus(status: string): void {
    this.replace(STATE_FILE.status, status);
  }

  /** Removes what other identities and killed writers left; tried again until it succeeds. */
  private clean(): void {
    this.isClean = this.attempt(({ directory, credentialFile }) => directory.clean(credentialFile));
  }

  private replace(name: string, text: string): void {
    if (this.published.get(name) === text) return;
    if (this.attempt(({ directory }) => directory.write(name, text))) this.published.set(name, text);
  }

  private attempt(action: (options: StatePublisherOptions) => void): boolean {
    try {
      action(this.options);
      return true;
    } catch (error) {
      this.currentProblem ??= `The sidecar can't write its directory ${this.options.directory.path}: ${describeError(error)}.`;
      return false;
    }
  }
}

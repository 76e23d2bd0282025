/** What a command is given of its process. Only `main.ts` knows the process itself. */
import type { Environment } from '../values/environment.js';

export interface CommandIo {
  /** Writes the text as UTF-8, or the bytes, unchanged. */
  readonly stdout: (content: string | Uint8Array) => void;
  readonly stderr: (text: string) => void;
  /** Everything on standard input. */
  readonly stdin: () => Promise<Uint8Array>;
  readonly env: Environment;
  /** Aborted on SIGTERM or SIGINT. From the call on, these signals no longer end the process by themselves. */
  readonly stopSignal: () => AbortSignal;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  /** The file of the running program; it may be a symbolic link. */
  readonly programFile: string;
}

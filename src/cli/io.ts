/** What a command is given of the world; `main.ts` alone takes it from the process. */
export interface CommandIo {
  /** Writes the text as it is. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Everything on standard input, as UTF-8. */
  readonly stdin: () => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted on SIGTERM or SIGINT, which from the first call on no longer end the process by themselves. */
  readonly stopSignal: () => AbortSignal;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
}

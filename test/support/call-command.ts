/** Calls a command of the CLI in this process, with a file on standard input. */
import type { runInject } from '../../src/cli/inject.js';

export interface CommandResult {
  readonly code: number | null;
  readonly output: string;
  readonly messages: string;
}

/** @returns also the output's bytes. */
export async function callCommand(
  command: typeof runInject,
  words: readonly string[],
  input: string | Uint8Array,
): Promise<CommandResult & { readonly bytes: Buffer }> {
  const parts: Buffer[] = [];
  let messages = '';
  const code = await command(['-f', '-', ...words], {
    stdout: (content) => parts.push(Buffer.from(content)),
    stderr: (text) => (messages += text),
    stdin: () => Promise.resolve(Buffer.from(input)),
    env: {},
    stopSignal: () => new AbortController().signal,
    isTerminal: false,
    programFile: '',
  });
  const bytes = Buffer.concat(parts);
  return { code, output: bytes.toString(), messages, bytes };
}

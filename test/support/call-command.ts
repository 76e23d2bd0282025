/** Calls a command of the CLI in this process, with a file on standard input. */
import type { runInject } from '../../src/cli/inject.js';

export interface CommandResult {
  readonly code: number | null;
  readonly output: string;
  readonly messages: string;
}

export async function callCommand(
  command: typeof runInject,
  words: readonly string[],
  input: string,
): Promise<CommandResult> {
  let output = '';
  let messages = '';
  const code = await command(['-f', '-', ...words], {
    stdout: (text) => (output += text),
    stderr: (text) => (messages += text),
    stdin: () => Promise.resolve(input),
    env: {},
    stopSignal: () => new AbortController().signal,
    isTerminal: false,
    programFile: '',
  });
  return { code, output, messages };
}

/** Words of a command line; node's own parser, with sentences of ours. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { describeError, ProductError } from '../errors.js';
import { readSettings, type SettingReader } from '../values/environment.js';

type Options = NonNullable<ParseArgsConfig['options']>;

/**
 * Parses the words after a command's name; all must be flags.
 * @throws ProductError `usage`, which ends the program with exit code 2.
 */
export function parseFlags<const T extends Options>(command: string, argv: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: false, strict: true }).values;
  } catch (error) {
    const [sentence = ''] = describeError(error).split('. ');
    throw new ProductError('usage', `${sentence.replace(/\.$/, '')}; see: ado-git-identity ${command} --help`);
  }
}

/**
 * Reads the values of flags as variables of an environment are read; their names are written as `--client-id`.
 * @throws ConfigurationError with all that is wrong.
 */
export function readFlags<T extends object>(
  values: Readonly<Record<string, string | undefined>>,
  build: (flags: SettingReader) => T,
): Readonly<T> {
  const flags = Object.entries(values).map(([name, text]) => [`--${name}`, text]);
  return readSettings(Object.fromEntries(flags) as typeof values, build);
}

/** Reads the environment's variables, or a command's flags, into a configuration; lists all that is wrong at once. PURE. */
import { ConfigurationError } from '../errors.js';
import { describeProblem, type Reader } from './readers.js';

/** Texts by the names that users write: `ADO_GIT_PORT`, or `--client-id`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Blanks around a value don't count, and an empty value counts as none. */
export interface SettingReader {
  readonly text: (name: string) => string | undefined;
  /** `undefined` where it is not set, or wrong. */
  readonly read: <T>(name: string, reader: Reader<T>) => T | undefined;
  /**
   * As `read`, for what must be set; `''` where it is not, or wrong.
   * @param what follows "set it to" where it is missing.
   */
  readonly require: (name: string, what: string, reader?: Reader<string>) => string;
  /** Adds a sentence about settings that don't fit together. */
  readonly report: (problem: string) => void;
}

/**
 * @param build makes the configuration; what it returns is used only where nothing is wrong.
 * @throws ConfigurationError with a sentence for each setting that is wrong or missing, in the order of reading.
 */
export function readSettings<T extends object>(
  environment: Environment,
  build: (settings: SettingReader) => T,
): Readonly<T> {
  const problems: string[] = [];
  const text = (name: string): string | undefined => {
    const value = environment[name]?.trim();
    return value === '' ? undefined : value;
  };
  const read = <R>(name: string, reader: Reader<R>): R | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    const reading = reader(value);
    if ('value' in reading) return reading.value;
    problems.push(`${name} ${describeProblem(value, reading)}.`);
    return undefined;
  };
  const require: SettingReader['require'] = (name, what, reader = (value) => ({ value })) => {
    if (text(name) === undefined) problems.push(`${name} is missing; set it to ${what}.`);
    return read(name, reader) ?? '';
  };
  const built = build({ text, read, require, report: (problem) => void problems.push(problem) });
  if (problems.length > 0) throw new ConfigurationError(problems);
  return Object.freeze(built);
}

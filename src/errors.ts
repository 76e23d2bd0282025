/**
 * The catalogue of stable error codes, with the exit codes of programs that they end. What is refused at admission has a
 * closed list of reasons of its own (`inject/reasons.ts`), and so have Entra's answers (`entra/aadsts.ts`). PURE.
 */

/** 2: the user must change how the program is called or configured. 1: it could not run, or did not do all of its work. */
export const EXIT_CODES = {
  /** An environment variable, flag or file that a program starts with is wrong. */
  configuration: 2,
  /** Arguments that a command does not accept. */
  usage: 2,
  /** A certificate or key can't be read, parsed or used together. */
  certificate: 2,
  /** The input of a command can't be read. */
  document: 1,
  /** The output of a command can't be written. */
  output: 1,
  /** The Kubernetes API server did not answer, answered too late, or refused. */
  'kubernetes-api': 1,
  /** A port or socket can't be listened on. */
  listen: 1,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

/** Base of all errors that a program raises on purpose; its message is a sentence for people. */
export class ProductError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProductError';
    this.code = code;
  }
}

/** All that is wrong with a program's configuration, a sentence each. */
export class ConfigurationError extends ProductError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super('configuration', problems.join('\n'));
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/** Tests the code, not the class: each bundle has its own copy of the class, and errors pass between bundles. */
function isProductError(error: unknown): error is ProductError {
  return error instanceof Error && 'code' in error && Object.hasOwn(EXIT_CODES, String(error.code));
}

/** The exit code of a program that this error ends; 1 for an unexpected error. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return isProductError(error) ? EXIT_CODES[error.code] : 1;
}

/**
 * Writes why a program ends: a line for each problem, which begins with the program's name.
 * @returns the exit code.
 */
export function reportError(program: string, error: unknown, write: (lines: string) => void): 1 | 2 {
  const problems =
    isProductError(error) && 'problems' in error ? (error as ConfigurationError).problems : [describeError(error)];
  for (const problem of problems) write(`${program}: ${problem}\n`);
  return exitCodeOf(error);
}

/** Newer versions of node end errors of TLS with a flag of node, which nobody can set here. */
const HINT_OF_NODE = /; if the root CA is installed locally.*/;

/** The message of whatever was thrown, without a stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // An AggregateError (several addresses tried) has an empty message of its own.
  if (error instanceof AggregateError && error.message === '') {
    return [...new Set(error.errors.map(describeError))].join('; ');
  }
  const { code } = error as NodeJS.ErrnoException;
  return error.message === '' ? (code ?? error.name) : error.message.replace(HINT_OF_NODE, '');
}

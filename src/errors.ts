/**
 * The catalogue of stable error codes. What is refused at admission has its own closed list of reasons
 * (`inject/reasons.ts`), and what Entra answers its own catalogue (`entra/aadsts.ts`).
 */
export const ERROR_CODES = [
  /** An environment variable, flag or file that a program starts with is wrong. */
  'configuration',
  /** Words of a command line that the command does not take. */
  'usage',
  /** A certificate or key can't be read, parsed or used together. */
  'certificate',
  /** An AdmissionReview can't be read. */
  'review',
  /** A document that a command was given can't be read. */
  'document',
  /** The Kubernetes API server did not answer, or not in time. */
  'kubernetes-api',
  /** A port or socket can't be listened on. */
  'listen',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Base of all errors that this program raises on purpose; its message is a sentence for people. */
export class ProductError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProductError';
    this.code = code;
  }
}

/** All that is wrong with a program's configuration, a sentence each; the program ends with exit code 2. */
export class ConfigurationError extends ProductError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super('configuration', problems.join('\n'));
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/** A text of whatever was thrown, without a stack. */
export function describeError(error: unknown): string {
  if (error instanceof Error) {
    const { code } = error as NodeJS.ErrnoException;
    // An AggregateError (several addresses tried) has an empty message of its own.
    if (error instanceof AggregateError && error.message === '') {
      return [...new Set(error.errors.map(describeError))].join('; ');
    }
    return error.message === '' ? (code ?? error.name) : error.message;
  }
  return String(error);
}

/** How the API server refuses a request: a `Status` object with a code and a reason. */
export class StatusError extends Error {
  constructor(
    readonly code: number,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

/** The body of the answer, and of an ERROR event of a watch. */
export function writeStatus({ code, reason, message }: StatusError): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code };
}

/** Whether a request comes with a body, by its head alone. PURE. */
import type { IncomingHttpHeaders } from 'node:http';

/**
 * A body without a length may come in chunks of one byte, each of which costs a call. So where no body is expected, the connection
 * of such a request is closed at once: node would read the body to its end, also after the answer.
 */
export function announcesBody({ headers }: { readonly headers: IncomingHttpHeaders }): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

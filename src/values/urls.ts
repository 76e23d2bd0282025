/** Addresses of servers: https origins and proxies, each read in the same way wherever it is written. PURE. */
import type { Reader } from './readers.js';

/** A proxy that opens tunnels with CONNECT. */
export interface Proxy {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Nothing but scheme, host and port: `URL` would also take line ends, backslashes and an empty query. */
const ORIGIN = /^https?:\/\/[^/?#@\\\s]+\/*$/i;

/** The value is the origin without a trailing slash, in lower case. */
export const readOrigin: Reader<string> = (text) => {
  const url = parseOrigin(text);
  if (url?.protocol === 'https:') return { value: url.origin };
  return {
    problem:
      'is not an https origin; write it without path, query and password, such as https://login.microsoftonline.com',
    hidden: text.includes('@'),
  };
};

/**
 * A proxy such as `http://proxy.example:3128`; as for curl and Go, the scheme may be left out and the port is then 80.
 * A password is refused: it would be in every pod and in the audit log.
 */
export const readProxy: Reader<Proxy> = (text) => {
  const url = parseOrigin(text.includes('://') ? text : `http://${text}`);
  if (url?.protocol === 'http:') {
    return { value: { host: stripBrackets(url.hostname), port: url.port === '' ? 80 : Number(url.port) } };
  }
  return {
    problem:
      'is not http://HOST:PORT without user name, password and path; a proxy that wants a password is not supported',
    hidden: true,
  };
};

/** The address in `[::1]`, as sockets and certificates name it. */
export function stripBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

function parseOrigin(text: string): URL | undefined {
  return ORIGIN.test(text) && URL.canParse(text) ? new URL(text) : undefined;
}

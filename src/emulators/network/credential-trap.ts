/** A host that must never get a credential: it asks for one in every answer and records whether it got one. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KeyedCertificate } from '../../certificates/pair.js';
import { listenPlain, listenWithTls } from './loopback-server.js';

export interface TrappedRequest {
  /** `METHOD SCHEME://HOST/PATH` */
  readonly request: string;
  /** Whether it had a secret; git sends the user name of a URL with an empty password, which is no secret. */
  readonly gotSecret: boolean;
}

export interface CredentialTrap {
  readonly tlsPort: number;
  readonly plainPort: number;
  readonly requests: readonly TrappedRequest[];
  readonly close: () => Promise<void>;
}

/** Starts the trap on two ports, with and without TLS. */
export async function startCredentialTrap(certificate: KeyedCertificate): Promise<CredentialTrap> {
  const requests: TrappedRequest[] = [];
  const answer = (scheme: string) => (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request;
    requests.push({
      request: `${method} ${scheme}://${headers.host ?? ''}${url}`,
      gotSecret: hasSecret(headers.authorization),
    });
    response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="trap"' }).end();
  };
  const tls = await listenWithTls(certificate, answer('https'));
  const plain = await listenPlain(answer('http'));
  return {
    tlsPort: tls.port,
    plainPort: plain.port,
    requests,
    close: async () => {
      await Promise.all([tls.close(), plain.close()]);
    },
  };
}

function hasSecret(authorization: string | undefined): boolean {
  const [, value] = /^Basic +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (value === undefined) return authorization !== undefined;
  return !Buffer.from(value, 'base64').toString().endsWith(':');
}

/** The exchange on the wire: one HTTPS request, through a proxy if there is one. No connection is kept, no redirect followed. */
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectSecure, type SecureContext } from 'node:tls';
import { describeError } from '../errors.js';
import { SIDECAR_ENV } from '../names.js';
import type { RawAnswer } from './answer.js';
import { CHECK_THE_WAY, createLocalFailure, type Failure } from './failure.js';
import type { TokenRequest } from './request.js';

export interface Transport {
  /** For the whole exchange. */
  readonly timeoutMs: number;
  /** The proxy that opens a tunnel by CONNECT. */
  readonly proxy: { readonly host: string; readonly port: number } | undefined;
  /** With additional authorities; without it, node's own. */
  readonly secureContext: SecureContext | undefined;
  /** Ends the exchange when it is aborted, so that a program that stops does not wait for Entra. */
  readonly signal: AbortSignal;
}

export type Exchanged =
  { readonly kind: 'answer'; readonly answer: RawAnswer } | { readonly kind: 'failure'; readonly failure: Failure };

/** A request or socket that is closed at the end of the exchange. */
interface Closable {
  destroy(error: Error): unknown;
}

const CHECK_FIREWALLS = 'Check that firewalls and network policies let the pod reach it.';
const CHECK_NAMES = `Check the cluster's DNS and ${SIDECAR_ENV.authorityHost} (chart value azure.authorityHost).`;

/** Answers are a few kilobytes; more than this is not Entra. */
const MAX_BODY_BYTES = 256 * 1024;

/** A failure that this program detects itself, unlike those that node or the system reports. */
class ExchangeError extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

/** Sends the request and reads the whole answer. Never throws, and never takes longer than the timeout. */
export async function exchange(request: TokenRequest, transport: Transport): Promise<Exchanged> {
  const url = new URL(request.url);
  const open: Closable[] = [];
  let abandon: (error: Error) => void = () => undefined;
  const abandoned = new Promise<never>((_resolve, reject) => {
    abandon = reject;
  });
  const timer = setTimeout(() => {
    const message = `${url.origin} did not answer within ${transport.timeoutMs / 1000} s${nameRoute(transport)}. ${CHECK_FIREWALLS}`;
    abandon(new ExchangeError(createLocalFailure('transport', 'timeout', message)));
  }, transport.timeoutMs);
  const stop = (): void => abandon(new ExchangeError(createLocalFailure('transport', 'stopped', 'The program stops.')));
  transport.signal.addEventListener('abort', stop);
  if (transport.signal.aborted) stop();
  try {
    return { kind: 'answer', answer: await Promise.race([send(url, request, transport, open), abandoned]) };
  } catch (error) {
    return {
      kind: 'failure',
      failure: error instanceof ExchangeError ? error.failure : describeFailure(error, url, transport),
    };
  } finally {
    clearTimeout(timer);
    transport.signal.removeEventListener('abort', stop);
    // Nothing reads what is still open, and its late errors don't matter.
    for (const stream of open) stream.destroy(new Error('abandoned'));
  }
}

async function send(url: URL, request: TokenRequest, transport: Transport, open: Closable[]): Promise<RawAnswer> {
  const { proxy, secureContext } = transport;
  const host = removeBrackets(url);
  const secure = {
    host,
    ...(isAddress(host) ? {} : { servername: host }),
    ...(secureContext === undefined ? {} : { secureContext }),
    rejectUnauthorized: true,
  };
  const tunnel = proxy === undefined ? undefined : await openTunnel(url, proxy, open);
  return await new Promise<RawAnswer>((resolve, reject) => {
    const sent = requestSecure({
      ...secure,
      port: url.port === '' ? 443 : Number(url.port),
      path: url.pathname,
      method: 'POST',
      headers: { ...request.headers, host: url.host },
      // With an agent, even with `false`, node ignores createConnection.
      ...(tunnel === undefined
        ? { agent: false }
        : { createConnection: () => connectSecure({ ...secure, socket: tunnel }) }),
    });
    open.push(sent);
    sent.on('error', reject);
    sent.on('response', (response) => void readAnswer(response, url).then(resolve, reject));
    sent.end(request.body);
  });
}

async function readAnswer(response: IncomingMessage, url: URL): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      const message = `${url.origin} answered with more than ${MAX_BODY_BYTES / 1024} KiB. ${CHECK_THE_WAY}`;
      throw new ExchangeError(createLocalFailure('bad-answer', 'bad-answer', message));
    }
    chunks.push(chunk);
  }
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'],
    body: Buffer.concat(chunks).toString('utf8'),
  };
}

async function openTunnel(url: URL, proxy: NonNullable<Transport['proxy']>, open: Closable[]): Promise<Socket> {
  const target = `${url.hostname}:${url.port === '' ? '443' : url.port}`;
  return await new Promise<Socket>((resolve, reject) => {
    const refuse = (status: number): void => {
      const fix =
        status === 407
          ? 'It asks for a password: let it serve the pods without one'
          : `Let it allow CONNECT to ${target}, or name the host in NO_PROXY`;
      const message = `The proxy ${nameProxy(proxy)} refused the connection to ${target} (${status}). ${fix} (chart value sidecar.proxy).`;
      reject(new ExchangeError(createLocalFailure('proxy-refused', 'proxy-refused', message)));
    };
    const fail = (error: Error): void => {
      const message = `The proxy ${nameProxy(proxy)} can't be used: ${describeError(error)}. Correct the chart value sidecar.proxy (HTTPS_PROXY).`;
      reject(new ExchangeError(createLocalFailure('transport', 'proxy-unreachable', message)));
    };
    const asked = requestPlain({ ...proxy, method: 'CONNECT', path: target, headers: { host: target }, agent: false });
    open.push(asked);
    asked.on('error', fail);
    asked.on('response', (response) => refuse(response.statusCode ?? 0));
    asked.on('connect', (response, socket) => {
      open.push(socket);
      socket.on('error', fail);
      if (response.statusCode === 200) resolve(socket);
      else refuse(response.statusCode ?? 0);
    });
    asked.end();
  });
}

/** Codes of OpenSSL and node for a certificate that does not verify. */
const UNTRUSTED = /CERT|VERIFY|SELF_SIGNED|INVALID_CA|HOSTNAME_MISMATCH|PATH_LENGTH/;

function describeFailure(error: unknown, url: URL, transport: Transport): Failure {
  const cause = describeError(error);
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (UNTRUSTED.test(code)) {
    const isWrongItself = code.includes('ALTNAME') || code.includes('EXPIRED');
    const fix = isWrongItself ? '' : ' If a proxy inspects TLS, set the chart value sidecar.extraCa to its CA.';
    const message = `The certificate of ${url.origin} is not trusted: ${cause}.${fix}`;
    return createLocalFailure('tls-untrusted', 'tls-untrusted', message);
  }
  if (code.startsWith('HPE_')) {
    const message = `${url.origin} does not answer with HTTP (${cause}). Is it Entra?`;
    return createLocalFailure('bad-answer', 'bad-answer', message);
  }
  const isNameProblem = code === 'ENOTFOUND' || code === 'EAI_AGAIN';
  const message = `${url.origin} can't be reached${nameRoute(transport)}: ${cause}. ${isNameProblem ? CHECK_NAMES : CHECK_FIREWALLS}`;
  return createLocalFailure('transport', 'transport', message);
}

function nameRoute({ proxy }: Transport): string {
  return proxy === undefined ? '' : ` through the proxy ${nameProxy(proxy)}`;
}

function nameProxy({ host, port }: NonNullable<Transport['proxy']>): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Host without the brackets of an IPv6 address. */
function removeBrackets(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function isAddress(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host);
}

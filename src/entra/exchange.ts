/** The exchange on the wire: one HTTPS request, through a proxy where there is one. Nothing is kept open, no redirect followed. */
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectSecure, type SecureContext } from 'node:tls';
import { describeError } from '../errors.js';
import type { RawAnswer } from './answer.js';
import { createLocalFailure, type Failure } from './failure.js';
import type { TokenRequest } from './request.js';

export interface Transport {
  /** Milliseconds for the whole exchange. */
  readonly deadline: number;
  /** Of a proxy that is asked for a tunnel with CONNECT. */
  readonly proxy: { readonly host: string; readonly port: number } | undefined;
  /** With additional authorities; else node's own. */
  readonly secureContext: SecureContext | undefined;
}

export type Exchanged =
  { readonly kind: 'answer'; readonly answer: RawAnswer } | { readonly kind: 'failure'; readonly failure: Failure };

/** Answers are a few kilobytes; more than this is not Entra. */
const MAX_BODY_BYTES = 256 * 1024;

/** What the program found wrong, as opposed to the system or node. */
class Refusal extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

/** Sends the request and reads the whole answer. Never throws, never takes longer than the deadline. */
export async function exchange(request: TokenRequest, transport: Transport): Promise<Exchanged> {
  const url = new URL(request.url);
  const open: { destroy(error: Error): unknown }[] = [];
  let abandon: (error: Error) => void = () => undefined;
  const abandoned = new Promise<never>((_resolve, reject) => {
    abandon = reject;
  });
  const timer = setTimeout(() => {
    const seconds = transport.deadline / 1000;
    const via = transport.proxy === undefined ? '' : ` through the proxy ${nameProxy(transport.proxy)}`;
    const message = `${url.origin} did not answer within ${seconds} s${via}. Do a firewall or network policies let the pod reach it?`;
    abandon(new Refusal(createLocalFailure('transport', 'timeout', message)));
  }, transport.deadline);
  try {
    return { kind: 'answer', answer: await Promise.race([send(url, request, transport, open), abandoned]) };
  } catch (error) {
    return { kind: 'failure', failure: error instanceof Refusal ? error.failure : explain(error, url, transport) };
  } finally {
    clearTimeout(timer);
    // Whatever is still open has no reader any more; its late errors are nobody's.
    for (const stream of open) stream.destroy(new Error('abandoned'));
  }
}

async function send(
  url: URL,
  request: TokenRequest,
  transport: Transport,
  open: { destroy(error: Error): unknown }[],
): Promise<RawAnswer> {
  const { proxy, secureContext } = transport;
  const host = bareHost(url);
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
      // Beside an agent, `false` too, node ignores createConnection.
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
      const message = `${url.origin} answered with more than ${MAX_BODY_BYTES / 1024} KiB. Is it Entra, and no proxy or sign-in page on the way?`;
      throw new Refusal(createLocalFailure('bad-answer', 'bad-answer', message));
    }
    chunks.push(chunk);
  }
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'],
    body: Buffer.concat(chunks).toString('utf8'),
  };
}

async function openTunnel(
  url: URL,
  proxy: NonNullable<Transport['proxy']>,
  open: { destroy(error: Error): unknown }[],
): Promise<Socket> {
  const target = `${url.hostname}:${url.port === '' ? '443' : url.port}`;
  return await new Promise<Socket>((resolve, reject) => {
    const refuse = (status: number): void => {
      const mend =
        status === 407
          ? 'It asks for a password: let it allow the pods without one'
          : `It must allow CONNECT to ${target}, or NO_PROXY must name the host`;
      const message = `The proxy ${nameProxy(proxy)} refused the connection to ${target} (${status}). ${mend} (chart value sidecar.proxy).`;
      reject(new Refusal(createLocalFailure('proxy-refused', 'proxy-refused', message)));
    };
    const fail = (error: Error): void => {
      const message = `The proxy ${nameProxy(proxy)} can't be used: ${describeError(error)}. Correct the chart value sidecar.proxy (HTTPS_PROXY).`;
      reject(new Refusal(createLocalFailure('transport', 'proxy-unreachable', message)));
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

function explain(error: unknown, url: URL, transport: Transport): Failure {
  const said = describeError(error);
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (UNTRUSTED.test(code)) {
    const mend =
      code.includes('ALTNAME') || code.includes('EXPIRED')
        ? ''
        : ' If a proxy inspects TLS, give its CA in the chart value sidecar.extraCa.';
    return createLocalFailure(
      'tls-untrusted',
      'tls-untrusted',
      `The certificate of ${url.origin} is not trusted: ${said}.${mend}`,
    );
  }
  if (code.startsWith('HPE_')) {
    const message = `${url.origin} does not answer with HTTP (${said}). Is it Entra?`;
    return createLocalFailure('bad-answer', 'bad-answer', message);
  }
  const mend =
    code === 'ENOTFOUND' || code === 'EAI_AGAIN'
      ? "Look at the cluster's DNS, and at ADO_GIT_AUTHORITY_HOST (chart value azure.authorityHost)."
      : 'Do a firewall or network policies let the pod reach it?';
  const via = transport.proxy === undefined ? '' : ` through the proxy ${nameProxy(transport.proxy)}`;
  return createLocalFailure('transport', 'transport', `${url.origin} can't be reached${via}: ${said}. ${mend}`);
}

function nameProxy({ host, port }: NonNullable<Transport['proxy']>): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Host without the brackets of an IPv6 address. */
function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function isAddress(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host);
}

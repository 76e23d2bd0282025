/**
 * Whether API servers could verify this webhook: a TLS connection to its own listener, with the Service's name, verified
 * by the caBundle as it was read from the API server. It works the same way in all modes.
 */
import { X509Certificate } from 'node:crypto';
import { duplexPair } from 'node:stream';
import {
  connect,
  type ConnectionOptions,
  createSecureContext,
  type DetailedPeerCertificate,
  type PeerCertificate,
  TLSSocket,
} from 'node:tls';
import { describeError, ProductError } from '../errors.js';
import type { Logger } from '../log.js';
import { webhookHost } from '../names.js';
import type { Sleep } from '../time.js';
import type { KeyedCertificate } from './pair.js';
import { parseCertificates } from './pem.js';
import { findIssuerProblem, findServerProblem, hasIssuerName } from './soundness.js';

interface ListenerVerification {
  readonly port: number;
  /** The webhook's namespace. */
  readonly namespace: string;
  /** @returns PEM; empty where there is none yet, undefined where it is not known yet. May reject. */
  readonly readCaBundle: () => Promise<string | undefined>;
  readonly sleep: Sleep;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

const TRY_EVERY_MS = 1000;
/** A replica that starts needs some seconds, at every upgrade: only what lasts longer is worth a line of the log. */
const QUIET_TRIES = 10;
const HANDSHAKE_TIMEOUT_MS = 5000;
/** Authorities above a certificate that are examined. */
const MAX_CHAIN = 8;

/** Tries each second; resolves with true once it is verified, with false when the signal is aborted. Never rejects. */
export async function waitUntilVerified(verification: ListenerVerification): Promise<boolean> {
  const { port, namespace, readCaBundle, sleep, signal, log } = verification;
  let logged: string | undefined;
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      await verifyListener(port, webhookHost(namespace), checkCaBundle(await readCaBundle()));
      return true;
    } catch (error) {
      const why = describeError(error);
      const level = tries > QUIET_TRIES ? 'info' : 'debug';
      if (logged !== `${level} ${why}`)
        log[level]('not ready: the API server could not verify the webhook yet', { why });
      logged = `${level} ${why}`;
    }
    await sleep(TRY_EVERY_MS, signal);
  }
  return false;
}

/** @throws ProductError `certificate` where there is none to verify with. */
function checkCaBundle(caBundle: string | undefined): string {
  if (caBundle === undefined) {
    throw new ProductError('certificate', 'the caBundle of the webhook configuration is not known to this replica yet');
  }
  if (caBundle.trim() === '') throw new ProductError('certificate', 'the webhook configuration has no caBundle yet');
  return caBundle;
}

/** @throws ProductError `certificate`, with the reason for which an API server would refuse the certificate on a local port. */
export async function verifyListener(port: number, serverName: string, caBundle: string): Promise<void> {
  const options = { host: '127.0.0.1', port, ...describeApiServer(serverName, caBundle) };
  await shakeHands(`the certificate on port ${port}`, serverName, () => connect(options));
}

/** @throws ProductError `certificate`, with the reason for which an API server would refuse the pair. */
export async function verifyPair(pair: KeyedCertificate, serverName: string, caBundle: string): Promise<void> {
  // OpenSSL refuses some of it too, with fewer words.
  const problem = findServerProblem(new X509Certificate(pair.certificatePem), serverName);
  if (problem !== undefined) throw createRefusal('the certificate', serverName, new Error(`it ${problem}`));
  const [near, far] = duplexPair();
  const secureContext = createSecureContext({ cert: pair.certificatePem, key: pair.keyPem });
  const server = new TLSSocket(far, { isServer: true, secureContext });
  server.on('error', () => server.destroy());
  await shakeHands('the certificate', serverName, () =>
    connect({ socket: near, ...describeApiServer(serverName, caBundle) }),
  ).finally(() => server.destroy());
}

/** Options that verify as Go does, in which API servers are written. */
function describeApiServer(servername: string, ca: string): ConnectionOptions {
  return {
    servername,
    ca,
    rejectUnauthorized: true,
    // Any certificate in the caBundle is trusted, also an intermediate (Go's `x509.VerifyOptions.Roots`).
    allowPartialTrustChain: true,
    checkServerIdentity: (name, certificate) => {
      const problem = findChainProblem(certificate, name, ca);
      return problem === undefined ? undefined : new Error(problem);
    },
  };
}

/** What OpenSSL accepts of a chain that it has verified, and Go refuses. */
function findChainProblem(
  peer: DetailedPeerCertificate | PeerCertificate,
  dnsName: string,
  caBundle: string,
): string | undefined {
  const { certificates: anchors } = parseCertificates(caBundle);
  let certificate = new X509Certificate(peer.raw);
  const problem = findServerProblem(certificate, dnsName);
  if (problem !== undefined) return `it ${problem}`;
  let above = 'issuerCertificate' in peer ? peer.issuerCertificate : undefined;
  for (
    let depth = 0;
    depth < MAX_CHAIN && above !== undefined && !anchors.includes(certificate.toString());
    depth += 1
  ) {
    const issuer = new X509Certificate(above.raw);
    const issuerProblem = findIssuerProblem(issuer);
    if (issuerProblem !== undefined) return `its authority ${issuerProblem}`;
    if (!hasIssuerName(certificate, issuer)) return 'its issuer and the name of its authority are encoded differently';
    certificate = issuer;
    above = above.issuerCertificate;
  }
  return undefined;
}

async function shakeHands(what: string, serverName: string, begin: () => TLSSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.destroy();
      reject(createRefusal(what, serverName, error));
    };
    const socket = begin();
    const seconds = HANDSHAKE_TIMEOUT_MS / 1000;
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => fail(new Error(`no handshake within ${seconds} s`)));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.end();
      resolve();
    });
  });
}

function createRefusal(what: string, serverName: string, cause: Error): ProductError {
  const message = `${what} is not verified by the caBundle for ${serverName}: ${describeError(cause)}`;
  return new ProductError('certificate', message, { cause });
}

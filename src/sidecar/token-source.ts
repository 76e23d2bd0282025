/** One attempt at a token: reads the assertion from its file, sends it to Entra and parses the answer. */
import { createSecureContext, type SecureContext } from 'node:tls';
import { type Answer, parseAnswer } from '../entra/answer.js';
import { type AssertionReading, readAssertion, refuseTokenFile } from '../entra/assertion.js';
import { exchange, type Exchanged } from '../entra/exchange.js';
import { buildTokenRequest, type TokenRequest } from '../entra/request.js';
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import { SIDECAR_ENV } from '../names.js';
import type { EpochMs, Now } from '../time.js';
import { readCertificates } from '../values/certificates.js';
import type { ExtraCa, SidecarConfig } from './config.js';
import { readText } from './state-directory.js';

/** For one exchange, from the connection to the last byte. */
const EXCHANGE_TIMEOUT_MS = 15_000;

/** Asks once. Every problem is a failure in the answer; nothing is thrown. */
export type TokenSource = () => Promise<Answer>;

export interface TokenSourceOptions {
  readonly config: SidecarConfig;
  readonly log: Logger;
  readonly now: Now;
  /** Ends an exchange under way. */
  readonly signal: AbortSignal;
}

export function createTokenSource({ config, log, now, signal }: TokenSourceOptions): TokenSource {
  const findExtraTrust = followExtraCa(config.extraCa, log);
  const send = async (request: TokenRequest, secureContext: SecureContext | undefined): Promise<Exchanged> =>
    await exchange(request, { timeoutMs: EXCHANGE_TIMEOUT_MS, proxy: config.proxy, secureContext, signal });
  return async () => {
    const reading = readProjectedToken(config.tokenFile, now());
    if (reading.kind === 'failure') return reading;
    const request = buildTokenRequest(config.identity, reading.assertion);
    const extra = findExtraTrust();
    let exchanged = await send(request, extra);
    // In a context, the extra authorities replace node's own and those of NODE_EXTRA_CA_CERTS: either set may verify Entra.
    if (extra !== undefined && isUntrusted(exchanged)) exchanged = await send(request, undefined);
    if (exchanged.kind === 'failure') return exchanged;
    return parseAnswer(exchanged.answer, { ...config.identity, claims: reading.claims }, now());
  };
}

function isUntrusted(exchanged: Exchanged): boolean {
  return exchanged.kind === 'failure' && exchanged.failure.class === 'tls-untrusted';
}

function readProjectedToken(file: string, now: EpochMs): AssertionReading {
  try {
    const content = readText(file);
    return content === undefined
      ? refuseTokenFile(file, 'missing', 'does not exist')
      : readAssertion(content, file, now);
  } catch (error) {
    return refuseTokenFile(file, 'unreadable', `can't be read (${describeError(error)})`);
  }
}

/** Returns a context that trusts only the extra authorities, or `undefined` where there are none. A file is read each time. */
function followExtraCa(extraCa: ExtraCa | undefined, log: Logger): () => SecureContext | undefined {
  if (extraCa === undefined) return () => undefined;
  if (extraCa.kind === 'pem') {
    const context = createSecureContext({ ca: extraCa.pem });
    return () => context;
  }
  let known: string | undefined;
  let context: SecureContext | undefined;
  return () => {
    const { pem, problem } = readAuthorities(extraCa.path);
    if ((pem ?? problem) === known) return context;
    known = pem ?? problem;
    context = pem === undefined ? undefined : createSecureContext({ ca: pem });
    if (pem === undefined) log.warn(`the extra authorities of ${SIDECAR_ENV.extraCa} are ignored: ${problem}`);
    else log.info(`the extra authorities of ${SIDECAR_ENV.extraCa} are trusted`, { file: extraCa.path });
    return context;
  };
}

type Authorities =
  { readonly pem: string; readonly problem?: undefined } | { readonly pem?: undefined; readonly problem: string };

/** The limit of a ConfigMap; a bundle of all public roots is a fifth of it. */
const MAX_AUTHORITIES_BYTES = 1024 * 1024;

function readAuthorities(path: string): Authorities {
  try {
    const pem = readText(path, MAX_AUTHORITIES_BYTES);
    if (pem === undefined) return { problem: `${path} does not exist` };
    const reading = readCertificates(pem);
    return 'value' in reading ? { pem } : { problem: `${path} ${reading.problem}` };
  } catch (error) {
    return { problem: `${path} can't be read (${describeError(error)})` };
  }
}

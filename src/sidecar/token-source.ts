/** One attempt at a token: the assertion is read afresh, shown to Entra, and the answer parsed. */
import { createSecureContext, type SecureContext } from 'node:tls';
import { type Answer, parseAnswer } from '../entra/answer.js';
import { readAssertion } from '../entra/assertion.js';
import { exchange, type Exchanged } from '../entra/exchange.js';
import { createLocalFailure } from '../entra/failure.js';
import { buildTokenRequest, type TokenRequest } from '../entra/request.js';
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';
import type { EpochMs, Now } from '../time.js';
import { readCertificates } from '../values/certificates.js';
import type { ExtraCa, SidecarConfig } from './config.js';
import { readText } from './state-directory.js';

/** Milliseconds for one exchange, from the connection to the last byte. */
const DEADLINE = 15_000;

/** Asks once; every trouble is a failure of the answer, nothing is thrown. */
export type TokenSource = () => Promise<Answer>;

export function createTokenSource(config: SidecarConfig, log: Logger, now: Now): TokenSource {
  const findExtraTrust = followExtraCa(config.extraCa, log);
  const send = async (request: TokenRequest, secureContext: SecureContext | undefined): Promise<Exchanged> =>
    await exchange(request, { timeoutMs: DEADLINE, proxy: config.proxy, secureContext });
  return async () => {
    const reading = readProjectedToken(config.tokenFile, now());
    if (reading.kind === 'failure') return reading;
    const request = buildTokenRequest(config.identity, reading.assertion);
    const extra = findExtraTrust();
    let exchanged = await send(request, extra);
    // Handed to one context, the extra authorities would replace node's and those of NODE_EXTRA_CA_CERTS: either may vouch.
    if (extra !== undefined && isUntrusted(exchanged)) exchanged = await send(request, undefined);
    if (exchanged.kind === 'failure') return exchanged;
    return parseAnswer(exchanged.answer, { ...config.identity, claims: reading.claims }, now());
  };
}

function isUntrusted(exchanged: Exchanged): boolean {
  return exchanged.kind === 'failure' && exchanged.failure.class === 'tls-untrusted';
}

function readProjectedToken(file: string, now: EpochMs): ReturnType<typeof readAssertion> {
  const fail = (code: string, what: string): ReturnType<typeof readAssertion> => ({
    kind: 'failure',
    failure: createLocalFailure(
      'assertion',
      code,
      `The token file ${file} ${what}. The kubelet writes it: look at the volume ado-git-token of the pod and at the pod's events.`,
    ),
  });
  try {
    const content = readText(file);
    return content === undefined ? fail('assertion-missing', 'is not there') : readAssertion(content, file, now);
  } catch (error) {
    return fail('assertion-unreadable', `can't be read (${describeError(error)})`);
  }
}

/** Gives the context that trusts the extra authorities alone, or `undefined` where there are none; a file is looked at each time. */
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
    if (pem === undefined) log.warn(`the extra authorities of ADO_GIT_EXTRA_CA are left out: ${problem}`);
    else log.info('the extra authorities of ADO_GIT_EXTRA_CA are trusted', { file: extraCa.path });
    return context;
  };
}

type Authorities =
  { readonly pem: string; readonly problem?: undefined } | { readonly pem?: undefined; readonly problem: string };

/** A ConfigMap holds no more; a bundle of all public roots has a fifth of it. */
const MAX_AUTHORITIES_BYTES = 1024 * 1024;

function readAuthorities(path: string): Authorities {
  try {
    const pem = readText(path, MAX_AUTHORITIES_BYTES);
    if (pem === undefined) return { problem: `${path} is not there` };
    const reading = readCertificates(pem);
    return 'value' in reading ? { pem } : { problem: `${path} ${reading.problem}` };
  } catch (error) {
    return { problem: `${path} can't be read (${describeError(error)})` };
  }
}

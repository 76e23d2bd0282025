/** What the tests of Entra's answers share: a moment, what was presented, refusals as Entra writes them. */
import { parseAnswer } from '../../src/entra/answer.js';
import type { Failure } from '../../src/entra/failure.js';
import type { ExchangeContext } from '../../src/entra/identity.js';
import { epochMs, toEpochSeconds } from '../../src/time.js';

export const NOW = epochMs(Date.parse('2026-03-01T12:00:00Z'));

export const CONTEXT: ExchangeContext = {
  clientId: '11111111-2222-3333-4444-555555555555',
  tenantId: '99999999-8888-7777-6666-555555555555',
  authority: 'https://login.microsoftonline.com',
  claims: {
    issuer: 'https://issuer.example/cluster/',
    subject: 'system:serviceaccount:shop:builder',
    audience: 'api://AzureADTokenExchange',
    expiresAtSeconds: toEpochSeconds(epochMs(NOW + 3600_000)),
  },
};

/** Of every refusal. */
export const IDS = {
  traceId: '0a1b2c3d-0000-4000-8000-0123456789ab',
  correlationId: '0a1b2c3d-0000-4000-8000-cdef01234567',
};

/** The body of a refusal. */
export function refusal(aadsts: number, status = 401, error = 'invalid_client'): string {
  return JSON.stringify({
    error,
    error_description: `AADSTS${aadsts}: Words of Entra.\r\nTrace ID: ${IDS.traceId}\r\nCorrelation ID: ${IDS.correlationId}`,
    error_codes: [aadsts],
    trace_id: IDS.traceId,
    correlation_id: IDS.correlationId,
    status,
  });
}

/** The failure that an answer means; throws where it gave a token. */
export function fail(body: string, status = 401, retryAfter?: string): Failure {
  const answer = parseAnswer({ status, body, retryAfter }, CONTEXT, NOW);
  if (answer.kind !== 'failure') throw new Error('it gave a token');
  return answer.failure;
}

/** Refusals as Entra sends them: the shape of the body, the sentences, the numbers. */
import { randomUUID } from 'node:crypto';
import { type EpochMs, formatTime } from '../../time.js';

export interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly aadsts: number;
  readonly message: string;
}

const refuseWith =
  (status: number, error: string) =>
  (aadsts: number, message: string): Refusal => ({ status, error, aadsts, message });
const invalidRequest = refuseWith(400, 'invalid_request');
const unauthorizedClient = refuseWith(400, 'unauthorized_client');
const invalidClient = refuseWith(401, 'invalid_client');
const NO_MATCH = 'No matching federated identity record found for presented assertion';

/** The refusals of the emulator itself, in Entra's own words. */
export const refuse = {
  missing: (parameter: string) =>
    invalidRequest(900144, `The request body must contain the following parameter: '${parameter}'.`),
  grantType: (value: string) =>
    refuseWith(400, 'unsupported_grant_type')(70003, `The app requested an unsupported grant type '${value}'.`),
  assertionType: () =>
    invalidRequest(
      700021,
      "The client_assertion_type must be 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'.",
    ),
  tenant: (tenant: string) =>
    invalidRequest(
      90002,
      `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`,
    ),
  client: (clientId: string, tenant: string) =>
    unauthorizedClient(700016, `Application with identifier '${clientId}' was not found in the directory '${tenant}'.`),
  disabled: (clientId: string) => unauthorizedClient(7000112, `Application '${clientId}' is disabled.`),
  scope: (scope: string) =>
    refuseWith(400, 'invalid_scope')(
      1002012,
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
    ),
  resource: (resource: string, tenant: string) =>
    refuseWith(400, 'invalid_resource')(
      500011,
      `The resource principal named ${resource} was not found in the tenant named ${tenant}.`,
    ),
  malformed: () => invalidRequest(50027, 'JWT token is invalid or malformed.'),
  noCredential: (clientId: string) =>
    invalidClient(70025, `The client '${clientId}' has no configured federated identity credentials.`),
  notYet: () => invalidClient(70021, `${NO_MATCH}.`),
  issuer: (issuer: string) => invalidClient(700211, `${NO_MATCH} issuer '${issuer}'.`),
  audience: (audience: string) => invalidClient(700212, `${NO_MATCH} audience '${audience}'.`),
  subject: (subject: string) =>
    invalidClient(
      700213,
      `${NO_MATCH} subject '${subject}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.`,
    ),
  outOfTime: () => invalidClient(700024, 'Client assertion is not within its valid time range.'),
  tooLong: () => invalidClient(70023, 'The lifetime of the presented assertion is longer than 24 hours.'),
  issuerUnreachable: () => invalidRequest(90061, 'Request to External OIDC endpoint failed.'),
  keyUnknown: (keyId: string) =>
    invalidClient(7000272, `The key '${keyId}' was not found in the keys of the external OIDC endpoint.`),
  signature: () =>
    invalidClient(
      50013,
      'Assertion failed signature validation. [Reason - The key was found, but use of the key to verify the signature failed.]',
    ),
} as const;

/** The JSON body of a refusal. */
export function formatRefusal({ error, aadsts, message }: Refusal, now: EpochMs): string {
  const traceId = randomUUID();
  const correlationId = randomUUID();
  const timestamp = formatTime(now)
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
  return JSON.stringify({
    error,
    error_description: `AADSTS${aadsts}: ${message}\r\nTrace ID: ${traceId}\r\nCorrelation ID: ${correlationId}\r\nTimestamp: ${timestamp}`,
    error_codes: [aadsts],
    timestamp,
    trace_id: traceId,
    correlation_id: correlationId,
    error_uri: `https://login.microsoftonline.com/error?code=${aadsts}`,
  });
}

/** Refusals as Entra gives them: the shape of the body, the words, the numbers. */
import { randomUUID } from 'node:crypto';

export interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly aadsts: number;
  readonly message: string;
}

/** The refusals that the stand-in finds by itself; words after Entra's own. */
export const refuse = {
  missing: (parameter: string): Refusal =>
    make(400, 'invalid_request', 900144, `The request body must contain the following parameter: '${parameter}'.`),
  grantType: (value: string): Refusal =>
    make(400, 'unsupported_grant_type', 70003, `The app requested an unsupported grant type '${value}'.`),
  assertionType: (): Refusal =>
    make(
      400,
      'invalid_request',
      700021,
      "The client_assertion_type must be 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'.",
    ),
  tenant: (tenant: string): Refusal =>
    make(
      400,
      'invalid_request',
      90002,
      `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`,
    ),
  client: (clientId: string, tenant: string): Refusal =>
    make(
      400,
      'unauthorized_client',
      700016,
      `Application with identifier '${clientId}' was not found in the directory '${tenant}'.`,
    ),
  disabled: (clientId: string): Refusal =>
    make(400, 'unauthorized_client', 7000112, `Application '${clientId}' is disabled.`),
  scope: (scope: string): Refusal =>
    make(
      400,
      'invalid_scope',
      1002012,
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
    ),
  resource: (resource: string, tenant: string): Refusal =>
    make(
      400,
      'invalid_resource',
      500011,
      `The resource principal named ${resource} was not found in the tenant named ${tenant}.`,
    ),
  malformed: (): Refusal => make(400, 'invalid_request', 50027, 'JWT token is invalid or malformed.'),
  noCredential: (clientId: string): Refusal =>
    make(401, 'invalid_client', 70025, `The client '${clientId}' has no configured federated identity credentials.`),
  notYet: (): Refusal =>
    make(401, 'invalid_client', 70021, 'No matching federated identity record found for presented assertion.'),
  issuer: (issuer: string): Refusal =>
    make(
      401,
      'invalid_client',
      700211,
      `No matching federated identity record found for presented assertion issuer '${issuer}'.`,
    ),
  audience: (audience: string): Refusal =>
    make(
      401,
      'invalid_client',
      700212,
      `No matching federated identity record found for presented assertion audience '${audience}'.`,
    ),
  subject: (subject: string): Refusal =>
    make(
      401,
      'invalid_client',
      700213,
      `No matching federated identity record found for presented assertion subject '${subject}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.`,
    ),
  outOfTime: (): Refusal => make(401, 'invalid_client', 700024, 'Client assertion is not within its valid time range.'),
  tooLong: (): Refusal =>
    make(401, 'invalid_client', 70023, 'The lifetime of the presented assertion is longer than 24 hours.'),
  issuerUnreachable: (): Refusal => make(400, 'invalid_request', 90061, 'Request to External OIDC endpoint failed.'),
  keyUnknown: (keyId: string): Refusal =>
    make(401, 'invalid_client', 7000272, `The key '${keyId}' was not found in the keys of the external OIDC endpoint.`),
  signature: (): Refusal =>
    make(
      401,
      'invalid_client',
      50013,
      'Assertion failed signature validation. [Reason - The key was found, but use of the key to verify the signature failed.]',
    ),
} as const;

function make(status: number, error: string, aadsts: number, message: string): Refusal {
  return { status, error, aadsts, message };
}

/** The JSON body of a refusal. @param now milliseconds since 1970. */
export function formatRefusal({ error, aadsts, message }: Refusal, now: number): string {
  const traceId = randomUUID();
  const correlationId = randomUUID();
  const timestamp = new Date(now)
    .toISOString()
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

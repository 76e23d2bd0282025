/** Checks a token request as Entra does, in its order: tenant, parameters, application, scope, then the assertion. */
import { AZURE_DEVOPS_APPLICATION_ID } from '../../names.js';
import { type AssertionContext, verifyAssertion } from './assertion.js';
import type { Application, Directory } from './directory.js';
import { type Refusal, refuse } from './refusals.js';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const REQUIRED = ['grant_type', 'client_id', 'scope', 'client_assertion_type', 'client_assertion'] as const;
type Parameter = (typeof REQUIRED)[number];

/** The application that gets a token, or why none does. */
export async function checkTokenRequest(
  tenantName: string,
  form: URLSearchParams,
  directory: Directory,
  context: AssertionContext,
): Promise<Application | Refusal> {
  const tenantId = directory.findTenant(tenantName);
  if (tenantId === undefined) return refuse.tenant(tenantName);
  const field = (name: Parameter): string => form.get(name) ?? '';
  const refusal = checkParameters(field);
  if (refusal !== undefined) return refusal;
  const application = directory.findApplication(field('client_id'));
  if (application?.tenantId !== tenantId) return refuse.client(field('client_id'), tenantId);
  if (application.disabled === true) return refuse.disabled(application.clientId);
  return (
    checkScope(field('scope'), tenantId) ??
    (await verifyAssertion(field('client_assertion'), application, context)) ??
    application
  );
}

function checkParameters(field: (name: Parameter) => string): Refusal | undefined {
  const missing = REQUIRED.find((parameter) => field(parameter) === '');
  if (missing !== undefined) return refuse.missing(missing);
  if (field('grant_type') !== 'client_credentials') return refuse.grantType(field('grant_type'));
  return field('client_assertion_type') === ASSERTION_TYPE ? undefined : refuse.assertionType();
}

function checkScope(scope: string, tenantId: string): Refusal | undefined {
  const resource = /^(.+)\/\.default$/.exec(scope)?.[1];
  if (resource === undefined) return refuse.scope(scope);
  return resource === AZURE_DEVOPS_APPLICATION_ID ? undefined : refuse.resource(resource, tenantId);
}

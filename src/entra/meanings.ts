/** What Entra's refusals mean: each with its class, and a sentence that says what is wrong and how to fix it. PURE. */
import { DEFAULT_AUTHORITY_HOST, TOKEN_LIFETIME_SECONDS } from '../defaults.js';
import {
  ANNOTATION,
  AZURE_ANNOTATION,
  AZURE_DEVOPS_APPLICATION_ID,
  AZURE_DEVOPS_SCOPE,
  PRODUCT,
  TOKEN_AUDIENCE,
} from '../names.js';
import { formatTime, toEpochMs } from '../time.js';
import type { AnswerClass } from './failure.js';
import type { ExchangeContext } from './identity.js';

/** What is wrong and how to fix it. */
type Describe = (context: ExchangeContext) => string;

export interface Meaning {
  readonly class: AnswerClass;
  readonly describe: Describe;
  readonly quick: boolean;
}

const QUICK = true;

function define(answerClass: AnswerClass, describe: Describe, quick = false): Meaning {
  return { class: answerClass, describe, quick };
}

/** The service account of a subject such as `system:serviceaccount:shop:builder`, for people. */
function nameAccount({ claims }: ExchangeContext): string {
  const [, , namespace, name] = claims.subject.split(':');
  return name === undefined ? 'the pod' : `the service account ${String(namespace)}/${name}`;
}

/** Quotes a value for a shell, where it needs that. */
function quote(value: string): string {
  return /^[\w:./@=-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}

function formatCommand(verb: 'create' | 'update', { claims }: ExchangeContext): string {
  return (
    `az identity federated-credential ${verb} --name NAME --identity-name IDENTITY --resource-group GROUP ` +
    `--issuer ${quote(claims.issuer)} --subject ${quote(claims.subject)} --audiences ${TOKEN_AUDIENCE}`
  );
}

function formatEnabling(applicationId: string): string {
  return `az ad sp update --id ${applicationId} --set accountEnabled=true`;
}

/** The beginning of a sentence that ends with what the credential lacks. */
function denyCredential({ clientId }: ExchangeContext): string {
  return `No federated credential of client ${clientId} has the `;
}

const NEW_TAKES_TIME = 'A new one takes some minutes to work.';
const ASK_ADMINISTRATORS = 'Ask the administrators of the tenant to allow';
const SET_AUTHORITY = 'Correct the chart value azure.authorityHost';
const PRINT_KEYS = 'kubectl get --raw /openid/v1/jwks';

function describeOrigin(context: ExchangeContext): string {
  return (
    `Client id and tenant id come from the annotations ${ANNOTATION.clientId} and ${ANNOTATION.tenantId} of the pod or of ${nameAccount(context)}, ` +
    `else from ${AZURE_ANNOTATION.clientId} and ${AZURE_ANNOTATION.tenantId} there, else from the chart's azure.clientId and azure.tenantId.`
  );
}

export const noMatchYet = define(
  'propagation',
  (context) =>
    `No federated credential of client ${context.clientId} (tenant ${context.tenantId}) matches this pod yet. ${NEW_TAKES_TIME} ` +
    `If this lasts, the credential must have exactly this issuer, subject and audience: ${formatCommand('create', context)}`,
);
export const noCredential = define(
  'propagation',
  (context) =>
    `Client ${context.clientId} (tenant ${context.tenantId}) has no federated credential. ${NEW_TAKES_TIME} Create one: ${formatCommand('create', context)}`,
);
export const wrongIssuer = define(
  'config',
  (context) =>
    `${denyCredential(context)}issuer of this cluster, ${context.claims.issuer}. Often only the slash at the end differs. ` +
    `Update the credential: ${formatCommand('update', context)}`,
);
export const wrongAudience = define(
  'config',
  (context) =>
    `${denyCredential(context)}audience of the service account token, ${context.claims.audience}. ` +
    `The audience of the credential must be ${TOKEN_AUDIENCE}. Update it: ${formatCommand('update', context)}`,
);
export const wrongSubject = define(
  'config',
  (context) =>
    `${denyCredential(context)}subject of this pod, ${context.claims.subject} (upper and lower case count). ` +
    `Update the credential, or create one for ${nameAccount(context)}: ${formatCommand('create', context)}`,
  QUICK,
);
export const wrongExpression = define(
  'config',
  (context) =>
    `The expression in the flexible federated credential of client ${context.clientId} does not match issuer ${context.claims.issuer} and subject ${context.claims.subject}. ` +
    `Correct the expression, or create a credential without one: ${formatCommand('create', context)}`,
);
export const kindRefused = define(
  'config',
  (context) =>
    `Entra refuses tokens of issuer ${context.claims.issuer} for client ${context.clientId}. A policy of tenant ${context.tenantId} or of the application ` +
    `forbids them, or the issuer is Entra itself. ${ASK_ADMINISTRATORS} the issuer.`,
);
export const keyUnknown = define(
  'retry-slowly',
  (context) =>
    `The service account token is signed with a key that Entra does not find among the keys of issuer ${context.claims.issuer}. After a key rotation, wait: ` +
    `Entra keeps the old keys for up to 30 minutes. Otherwise publish the cluster's keys: ${PRINT_KEYS}`,
);
export const issuerUnreachable = define(
  'retry-slowly',
  ({ claims: { issuer } }) =>
    `Entra can't reach the issuer ${issuer}. If this lasts, check from outside the cluster that it is public: ` +
    `curl ${quote(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)}`,
  QUICK,
);
export const outOfTime = define('re-read-once', ({ claims: { subject, expiresAtSeconds } }) => {
  const expiry = expiresAtSeconds === undefined ? '' : ` (it expires at ${formatTime(toEpochMs(expiresAtSeconds))})`;
  return (
    `For Entra, the service account token of ${subject} has expired or is not valid yet${expiry}. ` +
    'Check the clock of the node, and check that the kubelet renews projected tokens.'
  );
});
export const badSignature = define(
  're-read-once',
  (context) =>
    `Entra does not accept the service account token of ${context.claims.subject}, or its signature. Issuer ${context.claims.issuer} must publish ` +
    `the cluster's own keys: ${PRINT_KEYS}`,
);
export const livesTooLong = define(
  'config',
  (context) =>
    `The service account token of ${context.claims.subject} lives longer than Entra allows. Set the annotation ${AZURE_ANNOTATION.tokenExpiration} ` +
    `of ${nameAccount(context)} and of the pod to at most ${TOKEN_LIFETIME_SECONDS.max}, then delete the pod and create it again.`,
);
export const noApplication = define(
  'config',
  (context) =>
    `Tenant ${context.tenantId} has no application with client id ${context.clientId}: one of the two ids is wrong. ${describeOrigin(context)}`,
);
export const noPrincipal = define(
  'config',
  (context) =>
    `Tenant ${context.tenantId} has no service principal for client ${context.clientId}. Create it: az ad sp create --id ${context.clientId}`,
);
export const disabledApplication = define(
  'config',
  (context) =>
    `Client ${context.clientId} is disabled in tenant ${context.tenantId}. Enable it: ${formatEnabling(context.clientId)}`,
);
export const publicClient = define(
  'config',
  ({ clientId }) =>
    `Client ${clientId} is a public client, which can't present a token. Change it: az ad app update --id ${clientId} --is-fallback-public-client false`,
);
export const badTenant = define(
  'config',
  (context) =>
    `The tenant id ${context.tenantId} is neither a GUID nor a domain of a tenant. ${describeOrigin(context)}`,
);
export const noTenant = define(
  'config',
  (context) =>
    `Entra at ${context.authority} has no tenant ${context.tenantId}: the tenant id is wrong, or the tenant is in another cloud (chart value azure.authorityHost). ${describeOrigin(context)}`,
);
export const tenantNotAllowed = define(
  'config',
  ({ tenantId }) =>
    `A proxy between the pod and Entra does not allow tenant ${tenantId}. Let it add the tenant to Restrict-Access-To-Tenants.`,
);
export const unknownAuthority = define(
  'config',
  (context) =>
    `The authority ${context.authority} can't serve client ${context.clientId}. ${SET_AUTHORITY} (public cloud: ${DEFAULT_AUTHORITY_HOST}).`,
);
export const otherCloud = define(
  'config',
  (context) =>
    `Client ${context.clientId} or tenant ${context.tenantId} is in another Azure cloud than ${context.authority}. ${SET_AUTHORITY} (US Government: https://login.microsoftonline.us).`,
);
export const noAzureDevOps = define(
  'config',
  (context) =>
    `Azure DevOps is missing or disabled in tenant ${context.tenantId}. Connect the organization to this tenant (https://dev.azure.com/ORGANIZATION/_settings/organizationAad), ` +
    `enable it (${formatEnabling(AZURE_DEVOPS_APPLICATION_ID)}), or correct the tenant id. ${describeOrigin(context)}`,
);
export const badRequest = define(
  'our-defect',
  () =>
    `Entra refuses the form of the request (scope ${AZURE_DEVOPS_SCOPE}). This is a defect of ${PRODUCT}: please report it.`,
);
export const conditionalAccess = define(
  'never-hammer',
  (context) =>
    `Conditional Access of tenant ${context.tenantId} blocks client ${context.clientId}. ${ASK_ADMINISTRATORS} this workload identity ` +
    'from the address by which the pod reaches the internet.',
);
export const throttled = define(
  'throttle',
  (context) => `Entra throttles tenant ${context.tenantId}: too many requests. The sidecar asks again later.`,
);
export const transient = define(
  'transient',
  (context) => `Entra at ${context.authority} has a temporary fault. The sidecar asks again soon.`,
);
export const loop = define(
  'loop',
  (context) =>
    `Entra sees the same request of client ${context.clientId} too often. The sidecar asks again after a minute or more. Check whether pods with this identity restart all the time.`,
);

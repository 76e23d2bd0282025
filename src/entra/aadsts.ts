/**
 * The catalogue of Entra's refusals. They are classed by their AADSTS number only, because the same number comes with
 * various HTTP statuses and `error` values. PURE.
 */
import { ANNOTATION, AZURE_ANNOTATION, AZURE_DEVOPS_SCOPE, PRODUCT, TOKEN_AUDIENCE, TOKEN_LIFETIME } from '../names.js';
import { formatTime, toEpochMs } from '../time.js';
import type { AnswerClass } from './failure.js';
import type { ExchangeContext } from './identity.js';

interface Row {
  readonly class: AnswerClass;
  readonly quick?: true;
  /** What is wrong and how to fix it. */
  readonly describe: (context: ExchangeContext) => string;
}

export interface Classified {
  readonly class: AnswerClass;
  readonly quick: boolean;
  readonly sentence: string;
}

/** Class and sentence of a number, or `undefined` for one that is not in the catalogue. */
export function classify(aadsts: number, context: ExchangeContext): Classified | undefined {
  const row = CATALOGUE.get(aadsts);
  return row && { class: row.class, quick: row.quick === true, sentence: row.describe(context) };
}

/** Whether the assertion must be read again after this number. */
export function asksForRereading(aadsts: number | undefined): boolean {
  return aadsts !== undefined && CATALOGUE.get(aadsts)?.class === 're-read-once';
}

/** The numbers in the catalogue. */
export function listNumbers(): readonly number[] {
  return [...CATALOGUE.keys()];
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

function describeOrigin(context: ExchangeContext): string {
  return (
    `Client id and tenant id come from the annotations ${ANNOTATION.clientId} and ${ANNOTATION.tenantId} of the pod or of ${nameAccount(context)}. ` +
    `Without those they come from ${AZURE_ANNOTATION.clientId} and ${AZURE_ANNOTATION.tenantId} there, and otherwise from the chart's azure.clientId and azure.tenantId.`
  );
}

const noMatchYet: Row = {
  class: 'propagation',
  describe: (context) =>
    `No federated credential of client ${context.clientId} (tenant ${context.tenantId}) matches this pod yet; a new one takes some minutes to work. ` +
    `If this does not go away, the credential must have exactly this issuer, subject and audience: ${formatCommand('create', context)}`,
};
const noCredential: Row = {
  class: 'propagation',
  describe: (context) =>
    `Client ${context.clientId} (tenant ${context.tenantId}) has no federated credential; a new one takes some minutes to work. Create it: ${formatCommand('create', context)}`,
};
const wrongIssuer: Row = {
  class: 'config',
  describe: (context) =>
    `No federated credential of client ${context.clientId} has the issuer of this cluster, ${context.claims.issuer}. Often only the slash at the end differs. ` +
    `Update the credential: ${formatCommand('update', context)}`,
};
const wrongAudience: Row = {
  class: 'config',
  describe: (context) =>
    `No federated credential of client ${context.clientId} has the audience of the service account token, ${context.claims.audience}. ` +
    `The audience of the credential must be ${TOKEN_AUDIENCE}. Update it: ${formatCommand('update', context)}`,
};
const wrongSubject: Row = {
  class: 'config',
  quick: true,
  describe: (context) =>
    `No federated credential of client ${context.clientId} has the subject of this pod, ${context.claims.subject} (upper and lower case count). ` +
    `Update the credential, or create one for ${nameAccount(context)}: ${formatCommand('create', context)}`,
};
const wrongExpression: Row = {
  class: 'config',
  describe: (context) =>
    `The expression in the flexible federated credential of client ${context.clientId} does not match issuer ${context.claims.issuer} and subject ${context.claims.subject}. ` +
    `Correct the expression, or create a credential without one: ${formatCommand('create', context)}`,
};
const kindRefused: Row = {
  class: 'config',
  describe: (context) =>
    `Entra refuses tokens of issuer ${context.claims.issuer} for client ${context.clientId}. A policy of tenant ${context.tenantId} or of the application ` +
    'forbids them, or the issuer is Entra itself. Ask the administrators of the tenant to allow the issuer.',
};
const keyUnknown: Row = {
  class: 'retry-slowly',
  describe: (context) =>
    `The service account token is signed with a key that Entra does not find among the keys of issuer ${context.claims.issuer}. After a key rotation, wait: ` +
    "Entra keeps the old keys for up to 30 minutes. Otherwise publish the cluster's keys: kubectl get --raw /openid/v1/jwks",
};
const issuerUnreachable: Row = {
  class: 'retry-slowly',
  describe: (context) =>
    `Entra can't reach issuer ${context.claims.issuer}. It must answer from the internet: curl ${context.claims.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
};
const outOfTime: Row = {
  class: 're-read-once',
  describe: (context) => {
    const { subject, expiresAtSeconds } = context.claims;
    const expiry = expiresAtSeconds === undefined ? '' : ` (it expires at ${formatTime(toEpochMs(expiresAtSeconds))})`;
    return (
      `For Entra, the service account token of ${subject} has expired or is not valid yet${expiry}. ` +
      'Check the clock of the node, and check that the kubelet renews projected tokens.'
    );
  },
};
const badSignature: Row = {
  class: 're-read-once',
  describe: (context) =>
    `Entra does not accept the service account token of ${context.claims.subject}, or its signature. Issuer ${context.claims.issuer} must publish ` +
    "the cluster's own keys: kubectl get --raw /openid/v1/jwks",
};
const livesTooLong: Row = {
  class: 'config',
  describe: (context) =>
    `The service account token of ${context.claims.subject} lives longer than Entra allows. Set the annotation ${AZURE_ANNOTATION.tokenExpiration} ` +
    `of ${nameAccount(context)} and of the pod to at most ${TOKEN_LIFETIME.max}, then delete the pod and create it again.`,
};
const noApplication: Row = {
  class: 'config',
  describe: (context) =>
    `Tenant ${context.tenantId} has no application with client id ${context.clientId}: one of the two ids is wrong. ${describeOrigin(context)}`,
};
const disabledApplication: Row = {
  class: 'config',
  describe: (context) =>
    `The application with client id ${context.clientId} is disabled in tenant ${context.tenantId}. Enable it: az ad sp update --id ${context.clientId} --set accountEnabled=true`,
};
const noTenant: Row = {
  class: 'config',
  describe: (context) =>
    `Entra at ${context.authority} has no tenant ${context.tenantId}: the tenant id is wrong, or the tenant is in another cloud (chart value azure.authorityHost). ${describeOrigin(context)}`,
};
const unknownAuthority: Row = {
  class: 'config',
  describe: (context) =>
    `Entra does not know the authority ${context.authority}/${context.tenantId}. Correct the chart value azure.authorityHost (public cloud: https://login.microsoftonline.com).`,
};
const noAzureDevOps: Row = {
  class: 'config',
  describe: (context) =>
    `Tenant ${context.tenantId} does not know Azure DevOps. Connect the organization to this tenant (https://dev.azure.com/ORGANIZATION/_settings/organizationAad), or correct the tenant id. ${describeOrigin(context)}`,
};
const badScope: Row = {
  class: 'our-defect',
  describe: () => `Entra refuses the scope ${AZURE_DEVOPS_SCOPE}. This is a defect of ${PRODUCT}: please report it.`,
};
const conditionalAccess: Row = {
  class: 'never-hammer',
  describe: (context) =>
    `Conditional Access of tenant ${context.tenantId} blocks client ${context.clientId}. Ask the administrators of the tenant to allow this workload identity ` +
    'from the address by which the pod reaches the internet.',
};
const governmentClient: Row = {
  class: 'config',
  describe: (context) =>
    `Client ${context.clientId} belongs to the US Government cloud, but the request went to ${context.authority}. Set the chart value azure.authorityHost to https://login.microsoftonline.us`,
};
const throttled: Row = {
  class: 'throttle',
  describe: (context) => `Entra throttles tenant ${context.tenantId}: too many requests. The sidecar asks again later.`,
};
const transient: Row = {
  class: 'transient',
  describe: (context) => `Entra at ${context.authority} has a temporary fault. The sidecar asks again soon.`,
};
const loop: Row = {
  class: 'loop',
  describe: (context) =>
    `Entra sees the same request of client ${context.clientId} too often. The sidecar asks again after a minute or more. Check whether pods with this identity restart all the time.`,
};

const CATALOGUE: ReadonlyMap<number, Row> = new Map([
  [70021, noMatchYet],
  [70025, noCredential],
  [700211, wrongIssuer],
  [700212, wrongAudience],
  [700213, wrongSubject],
  [7002138, wrongSubject],
  [7002131, wrongExpression],
  [700222, kindRefused],
  [700226, kindRefused],
  [700227, kindRefused],
  [7000226, kindRefused],
  [7000272, keyUnknown],
  [90061, issuerUnreachable],
  [700024, outOfTime],
  [50013, badSignature],
  [500133, badSignature],
  [700027, badSignature],
  [70023, livesTooLong],
  [700016, noApplication],
  [70001, noApplication],
  [700011, noApplication],
  [7000112, disabledApplication],
  [90002, noTenant],
  [50049, unknownAuthority],
  [500011, noAzureDevOps],
  [70011, badScope],
  [1002012, badScope],
  [53003, conditionalAccess],
  [900439, governmentClient],
  [90055, throttled],
  [90006, transient],
  [90012, transient],
  [90024, transient],
  [90033, transient],
  [50196, loop],
]);

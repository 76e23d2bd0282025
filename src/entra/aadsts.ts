/**
 * The catalogue of Entra's refusals. They are classed by their AADSTS number alone: the same number comes with various
 * HTTP statuses and `error` values. PURE.
 */
import { ANNOTATION, AZURE_ANNOTATION, AZURE_DEVOPS_SCOPE, PRODUCT, TOKEN_AUDIENCE, TOKEN_LIFETIME } from '../names.js';
import type { AnswerClass } from './failure.js';
import type { Presented } from './identity.js';

interface Row {
  readonly class: AnswerClass;
  readonly quick?: true;
  readonly say: (shown: Presented) => string;
}

export interface Classified {
  readonly class: AnswerClass;
  readonly quick: boolean;
  readonly sentence: string;
}

/** Class and sentence of a number, or `undefined` for one that the catalogue does not know. */
export function classify(aadsts: number, shown: Presented): Classified | undefined {
  const row = CATALOGUE.get(aadsts);
  return row && { class: row.class, quick: row.quick === true, sentence: row.say(shown) };
}

/** Whether the number asks for a fresh reading of the assertion. */
export function asksForRereading(aadsts: number | undefined): boolean {
  return aadsts !== undefined && CATALOGUE.get(aadsts)?.class === 're-read-once';
}

/** The numbers that the catalogue knows. */
export function listNumbers(): readonly number[] {
  return [...CATALOGUE.keys()];
}

/** The service account of a subject such as `system:serviceaccount:shop:builder`, for people. */
function nameAccount({ claims }: Presented): string {
  const [, , namespace, name] = claims.subject.split(':');
  return name === undefined ? 'the pod' : `the service account ${String(namespace)}/${name}`;
}

function quote(value: string): string {
  return /^[\w:./@=-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}

function command(verb: 'create' | 'update', { claims }: Presented): string {
  return (
    `az identity federated-credential ${verb} --name NAME --identity-name IDENTITY --resource-group GROUP ` +
    `--issuer ${quote(claims.issuer)} --subject ${quote(claims.subject)} --audiences ${TOKEN_AUDIENCE}`
  );
}

const origin = (shown: Presented): string =>
  `They come from the annotations ${ANNOTATION.clientId} and ${ANNOTATION.tenantId} of the pod or of ${nameAccount(shown)}, ` +
  `else from ${AZURE_ANNOTATION.clientId} and ${AZURE_ANNOTATION.tenantId} there, else from the chart's azure.clientId and azure.tenantId.`;

const noMatchYet: Row = {
  class: 'propagation',
  say: (s) =>
    `Entra finds no federated credential of client ${s.clientId} (tenant ${s.tenantId}) that matches this pod yet; one that was just made takes some minutes. ` +
    `If it lasts, issuer, subject and audience must be exactly these: ${command('create', s)}`,
};
const noCredential: Row = {
  class: 'propagation',
  say: (s) =>
    `Client ${s.clientId} (tenant ${s.tenantId}) has no federated credential; one that was just made takes some minutes. Create it: ${command('create', s)}`,
};
const wrongIssuer: Row = {
  class: 'config',
  say: (s) =>
    `The issuer of this cluster, ${s.claims.issuer}, is in no federated credential of client ${s.clientId}; often a slash at its end is missing or too much. ` +
    `Update the credential: ${command('update', s)}`,
};
const wrongAudience: Row = {
  class: 'config',
  say: (s) =>
    `The audience of the federated credential of client ${s.clientId} must be ${TOKEN_AUDIENCE}; the service account token has ${s.claims.audience}. ` +
    `Update the credential: ${command('update', s)}`,
};
const wrongSubject: Row = {
  class: 'config',
  quick: true,
  say: (s) =>
    `The subject of this pod, ${s.claims.subject}, is in no federated credential of client ${s.clientId} (upper and lower case count). ` +
    `Update the credential, or add one for ${nameAccount(s)}: ${command('create', s)}`,
};
const wrongExpression: Row = {
  class: 'config',
  say: (s) =>
    `The expression of the flexible federated credential of client ${s.clientId} does not match issuer ${s.claims.issuer}, subject ${s.claims.subject}. ` +
    `Mend the expression, or make a plain credential: ${command('create', s)}`,
};
const kindRefused: Row = {
  class: 'config',
  say: (s) =>
    `Entra takes no federated credential or no token of issuer ${s.claims.issuer} for client ${s.clientId}: a policy of tenant ${s.tenantId} ` +
    'or of the application forbids it, or the token comes from Entra itself. Ask the administrators of the tenant to allow the issuer.',
};
const keyUnknown: Row = {
  class: 'retry-slowly',
  say: (s) =>
    `Entra does not find the key of the service account token among those that issuer ${s.claims.issuer} publishes. After a rotation of the keys wait: ` +
    "Entra keeps the old ones for up to 30 minutes. Otherwise publish the cluster's keys: kubectl get --raw /openid/v1/jwks",
};
const issuerUnreachable: Row = {
  class: 'retry-slowly',
  say: (s) =>
    `Entra can't reach issuer ${s.claims.issuer}. It must answer from the internet: curl ${s.claims.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
};
const outOfTime: Row = {
  class: 're-read-once',
  say: (s) =>
    `Entra takes the service account token of ${s.claims.subject} for expired or not yet valid` +
    (s.claims.expiresAt === undefined ? '. ' : ` (it ends at ${new Date(s.claims.expiresAt * 1000).toISOString()}). `) +
    'Set the clock of the node, and see whether the kubelet renews projected tokens.',
};
const badSignature: Row = {
  class: 're-read-once',
  say: (s) =>
    `Entra does not accept the service account token of ${s.claims.subject} or its signature. The keys that issuer ${s.claims.issuer} publishes ` +
    "must be the cluster's: kubectl get --raw /openid/v1/jwks",
};
const livesTooLong: Row = {
  class: 'config',
  say: (s) =>
    `The service account token of ${s.claims.subject} lives longer than Entra takes. Set the annotation ${AZURE_ANNOTATION.tokenExpiration} ` +
    `of ${nameAccount(s)} and of the pod to at most ${TOKEN_LIFETIME.max}, and create the pod anew.`,
};
const noApplication: Row = {
  class: 'config',
  say: (s) =>
    `Tenant ${s.tenantId} has no application with client id ${s.clientId}: one of the two is wrong. ${origin(s)}`,
};
const disabledApplication: Row = {
  class: 'config',
  say: (s) =>
    `The application with client id ${s.clientId} is disabled in tenant ${s.tenantId}. Enable it: az ad sp update --id ${s.clientId} --set accountEnabled=true`,
};
const noTenant: Row = {
  class: 'config',
  say: (s) =>
    `There is no tenant ${s.tenantId} at ${s.authority}: the tenant id is wrong, or it is in another cloud (chart value azure.authorityHost). ${origin(s)}`,
};
const unknownAuthority: Row = {
  class: 'config',
  say: (s) =>
    `Entra does not know the authority ${s.authority}/${s.tenantId}. Correct the chart value azure.authorityHost (public cloud: https://login.microsoftonline.com).`,
};
const noAzureDevOps: Row = {
  class: 'config',
  say: (s) =>
    `Azure DevOps is not known in tenant ${s.tenantId}. Connect the organization to this tenant (https://dev.azure.com/ORGANIZATION/_settings/organizationAad), or correct the tenant id. ${origin(s)}`,
};
const badScope: Row = {
  class: 'our-defect',
  say: () => `Entra refuses the scope ${AZURE_DEVOPS_SCOPE}. This is a defect of ${PRODUCT}: please report it.`,
};
const conditionalAccess: Row = {
  class: 'never-hammer',
  say: (s) =>
    `Conditional Access of tenant ${s.tenantId} blocks client ${s.clientId}. Ask the administrators of the tenant to allow this workload identity ` +
    'from the address with which the pod reaches the internet.',
};
const governmentClient: Row = {
  class: 'config',
  say: (s) =>
    `Client ${s.clientId} belongs to the US Government cloud, but ${s.authority} was asked. Set the chart value azure.authorityHost to https://login.microsoftonline.us`,
};
const throttled: Row = {
  class: 'throttle',
  say: (s) => `Entra throttles tenant ${s.tenantId}: too many requests. It is asked again later.`,
};
const transient: Row = {
  class: 'transient',
  say: (s) => `Entra at ${s.authority} has a passing fault. It is asked again soon.`,
};
const loop: Row = {
  class: 'loop',
  say: (s) =>
    `Entra sees client ${s.clientId} ask over and over. It is asked again after a minute or more; see whether pods with this identity restart all the time.`,
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

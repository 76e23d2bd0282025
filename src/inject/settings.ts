/** Resolves settings: the pod's annotations win over the service account's, and these over the installation's defaults. PURE. */
import {
  DEFAULT_AUTHORITY_HOST,
  DEFAULT_RUN_AS_USER,
  DEFAULT_SIDECAR_PORT,
  SIDECAR_NODE_FLAGS,
  TOKEN_LIFETIME_SECONDS,
} from '../defaults.js';
import type { Project } from '../git/remotes.js';
import { ANNOTATION, AZURE_ANNOTATION, type Channel, type LogLevel, type Startup } from '../names.js';
import { AZURE_READERS, type SidecarResources } from './annotation-readers.js';
import {
  type Finding,
  type GroupValues,
  joinFindings,
  readFirst,
  type Source,
  warnOfUnknown,
} from './read-annotations.js';
import type { Refusal, Warning } from './reasons.js';

/** What the installation decides for every pod: the chart through the webhook's environment, or the CLI's flags. */
export interface Defaults {
  /** Image reference of the sidecar. */
  readonly image: string;
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never' | undefined;
  /** Names of Secrets that are added to the pod's `imagePullSecrets`. */
  readonly pullSecrets: readonly string[];
  readonly clientId?: string | undefined;
  readonly tenantId?: string | undefined;
  /** Origin without a trailing slash, such as `https://login.microsoftonline.com`. */
  readonly authorityHost: string;
  readonly port: number;
  /** `null` leaves the field out, as OpenShift needs it. */
  readonly runAsUser: number | null;
  readonly resources: SidecarResources;
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
  /** PEM text. */
  readonly extraCaPem?: string | undefined;
  /** Name of an optional ConfigMap in each namespace. */
  readonly extraCaConfigMap?: string | undefined;
  readonly nodeFlags: readonly string[];
}

/** The defaults of an installation that sets only its image. */
export const STANDARD_DEFAULTS: Omit<Defaults, 'image'> = Object.freeze({
  pullSecrets: [],
  authorityHost: DEFAULT_AUTHORITY_HOST,
  port: DEFAULT_SIDECAR_PORT,
  runAsUser: DEFAULT_RUN_AS_USER,
  resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { cpu: '500m', memory: '64Mi' } },
  nodeFlags: SIDECAR_NODE_FLAGS,
});

/** What one pod gets. */
export interface Settings {
  readonly clientId: string;
  readonly tenantId: string;
  /** Lifetime of the projected token. */
  readonly tokenExpirationSeconds: number;
  /** An empty list allows any organization. */
  readonly organizations: readonly string[];
  readonly projects: readonly Project[];
  readonly skipContainers: readonly string[];
  /** Names of the containers to configure; `undefined` means all. */
  readonly containers: readonly string[] | undefined;
  readonly gitConfig: 'auto' | readonly Channel[];
  readonly startup: Startup;
  readonly port: number;
  /** From an annotation; without one the installation's, fitted to the pod. */
  readonly resources: SidecarResources | undefined;
  readonly logLevel: LogLevel;
}

/** What the settings of one pod are resolved from. */
interface Sources {
  readonly pod: Source;
  readonly serviceAccount: Source;
  /** Arguments by which kubectl finds the service account: `serviceaccount NAME -n NAMESPACE`. */
  readonly serviceAccountTarget: string;
}

export interface Resolved {
  readonly settings: Settings;
  readonly warnings: readonly Warning[];
}

/** The settings of one pod. A malformed annotation of the group refuses it, even where another value wins. */
export function resolveSettings(sources: Sources, defaults: Defaults): Resolved | Refusal {
  const { pod, serviceAccount } = sources;
  const malformed = joinFindings('invalid-annotation', [...pod.findings, ...serviceAccount.findings]);
  if (malformed !== undefined) return malformed;
  const values: GroupValues = { ...serviceAccount.values, ...pod.values };
  const refusal = refuseByMode(values, pod);
  if (refusal !== undefined) return refusal;
  const findings: Finding[] = [];
  const { clientId, tenantId } = chooseIdentity(values, serviceAccount, defaults, findings);
  const azure = readAzure(sources, findings);
  const invalid = joinFindings('invalid-identity', findings);
  if (invalid !== undefined) return invalid;
  if (clientId === undefined) return refuseWithoutIdentity('clientId', sources);
  if (tenantId === undefined) return refuseWithoutIdentity('tenantId', sources);
  return {
    settings: { clientId, tenantId, ...azure, ...fillDefaults(values, defaults) },
    warnings: [...warnOfUnknown(pod), ...warnOfUnknown(serviceAccount), ...warnOfMisplaced(serviceAccount)],
  };
}

type Identity = Readonly<Record<'clientId' | 'tenantId', string | undefined>>;

/** Precedence of client and tenant: annotation of the group, annotation of the Azure webhook, installation. */
function chooseIdentity(
  values: GroupValues,
  serviceAccount: Source,
  defaults: Defaults,
  findings: Finding[],
): Identity {
  const choose = (key: keyof Identity): string | undefined =>
    values[key] ?? readFirst(AZURE_ANNOTATION[key], AZURE_READERS[key], [serviceAccount], findings) ?? defaults[key];
  return { clientId: choose('clientId'), tenantId: choose('tenantId') };
}

/** The Azure webhook's other annotations. */
function readAzure(
  { pod, serviceAccount }: Sources,
  findings: Finding[],
): Pick<Settings, 'tokenExpirationSeconds' | 'skipContainers'> {
  const { tokenExpiration, skipContainers } = AZURE_ANNOTATION;
  return {
    tokenExpirationSeconds:
      readFirst(tokenExpiration, AZURE_READERS.tokenExpiration, [pod, serviceAccount], findings) ??
      TOKEN_LIFETIME_SECONDS.default,
    skipContainers: readFirst(skipContainers, AZURE_READERS.skipContainers, [pod], findings) ?? [],
  };
}

function fillDefaults(
  values: GroupValues,
  defaults: Defaults,
): Omit<Settings, 'clientId' | 'tenantId' | 'tokenExpirationSeconds' | 'skipContainers'> {
  return {
    organizations: values.organizations ?? [],
    projects: values.projects ?? [],
    containers: values.containers,
    gitConfig: values.gitConfig ?? 'auto',
    startup: values.startup ?? 'proceed',
    port: values.port ?? defaults.port,
    resources: values.sidecarResources,
    logLevel: values.logLevel ?? 'info',
  };
}

/** Refuses what needs gateway mode, or a later version. */
function refuseByMode(values: GroupValues, pod: Source): Refusal | undefined {
  const gateway = values.mode === 'gateway';
  if (!gateway && (values.repositories !== undefined || values.access === 'read')) {
    const annotation = values.repositories === undefined ? ANNOTATION.access : ANNOTATION.repositories;
    return {
      reason: 'not-enforceable',
      subject: 'pod',
      message: `${pod.description}: annotation ${annotation} can't be enforced in helper mode, where any process of the pod can read the token; remove it, or limit what the identity may do in Azure DevOps`,
    };
  }
  if (!gateway && values.identities === undefined) return undefined;
  return {
    reason: 'not-available',
    subject: 'pod',
    message: `${pod.description}: annotation ${gateway ? ANNOTATION.mode : ANNOTATION.identities} asks for what this version does not have yet; remove it, and the pod is served in helper mode with one identity`,
  };
}

function refuseWithoutIdentity(key: keyof Identity, { serviceAccount, serviceAccountTarget }: Sources): Refusal {
  const annotation = AZURE_ANNOTATION[key];
  return {
    reason: key === 'clientId' ? 'no-client-id' : 'no-tenant-id',
    subject: 'service-account',
    message: `${serviceAccount.description} has no annotation ${annotation}; kubectl annotate ${serviceAccountTarget} ${annotation}=${key === 'clientId' ? 'CLIENT_ID' : 'TENANT_ID'} (or set the chart's azure.${key}), then create the pod again`,
  };
}

function warnOfMisplaced({ subject, description, annotations }: Source): Warning[] {
  if (annotations[ANNOTATION.inject] === undefined) return [];
  const message = `${description}: annotation ${ANNOTATION.inject} has an effect on pods only, and as a label on namespaces; remove it here`;
  return [{ code: 'unknown-annotation', subject, message }];
}

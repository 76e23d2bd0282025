/** Installation defaults, the service account's annotations and the pod's (which win) become settings, or all that is wrong with them. PURE. */
import type { Project } from '../git/remotes.js';
import {
  ANNOTATION,
  AZURE_ANNOTATION,
  type Channel,
  DEFAULT_AUTHORITY_HOST,
  DEFAULT_RUN_AS_USER,
  DEFAULT_SIDECAR_PORT,
  GROUP,
  type LogLevel,
  SIDECAR_NODE_FLAGS,
  type Startup,
  TOKEN_LIFETIME,
  WRITTEN_ANNOTATION,
} from '../names.js';
import { describeProblem, type Reader } from '../values/readers.js';
import { truncate } from '../values/text.js';
import { AZURE_READERS, READERS, type SidecarResources } from './annotations.js';
import type { RefusalReason, Warning } from './reasons.js';
import { findNearest } from './suggest.js';

/** What the installation decides for every pod; from the chart, through the webhook's environment, or from the CLI's flags. */
export interface Defaults {
  /** Image reference of the sidecar. */
  readonly image: string;
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never' | undefined;
  /** Names of secrets that are added to the pod's `imagePullSecrets`. */
  readonly pullSecrets: readonly string[];
  readonly clientId?: string | undefined;
  readonly tenantId?: string | undefined;
  /** Origin without a trailing slash, such as `https://login.microsoftonline.com`. */
  readonly authorityHost: string;
  readonly port: number;
  /** `null` leaves the field out, as OpenShift wants. */
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

/** The defaults where nobody decides otherwise; an image must be named all the same. */
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
  /** Projected token lifetime, seconds. */
  readonly tokenExpiration: number;
  /** None: any organization. */
  readonly organizations: readonly string[];
  readonly projects: readonly Project[];
  readonly skipContainers: readonly string[];
  /** Containers to configure; `undefined`: all. */
  readonly containers: readonly string[] | undefined;
  readonly gitConfig: 'auto' | readonly Channel[];
  readonly startup: Startup;
  readonly port: number;
  /** Only where an annotation gives them; else the installation's, fitted to the pod. */
  readonly resources: SidecarResources | undefined;
  readonly logLevel: LogLevel;
}

/** Where annotations come from, and how that object is called in sentences. */
export interface Source {
  readonly annotations: Readonly<Record<string, string>>;
  readonly description: string;
}

export interface Sources {
  readonly pod: Source;
  readonly serviceAccount: Source;
  /** Arguments by which kubectl finds the service account: `serviceaccount NAME -n NAMESPACE`. */
  readonly serviceAccountTarget: string;
}

export type SettingsResult =
  | { readonly settings: Settings; readonly warnings: readonly Warning[] }
  | { readonly reason: RefusalReason; readonly message: string };

type Key = keyof typeof ANNOTATION;
type ValueOf<R> = R extends Reader<infer T> ? T : never;

/** Values of all annotations of the group that are there and well-formed. */
type Values = { [K in Key]?: ValueOf<(typeof READERS)[K]> };

const KNOWN = new Set<string>(Object.values(ANNOTATION));
const WRITTEN = new Set<string>(Object.values(WRITTEN_ANNOTATION));

/** Whether injection reads this annotation of a service account; those of the group all count, to name the misspelled. */
export function isReadFromServiceAccount(annotation: string): boolean {
  return (
    annotation.startsWith(`${GROUP}/`) ||
    (annotation.startsWith('azure.workload.identity/') && annotation !== AZURE_ANNOTATION.skipContainers)
  );
}

/** Resolves the settings of one pod. Values of the group are checked wherever they stand, also where another wins. */
export function resolveSettings(sources: Sources, defaults: Defaults): SettingsResult {
  const problems: string[] = [];
  const fromPod = readGroup(sources.pod, problems);
  const fromServiceAccount = readGroup(sources.serviceAccount, problems);
  if (problems.length > 0) return { reason: 'invalid-annotation', message: problems.join('; ') };
  const values: Values = { ...fromServiceAccount, ...fromPod };
  const refusal = refuseByMode(values, sources);
  if (refusal !== undefined) return refusal;
  const azure = readAzure(sources, values, problems);
  if (problems.length > 0) return { reason: 'invalid-identity', message: problems.join('; ') };
  const clientId = values.clientId ?? azure.clientId ?? defaults.clientId;
  if (clientId === undefined) return refuseWithoutIdentity('clientId', sources);
  const tenantId = values.tenantId ?? azure.tenantId ?? defaults.tenantId;
  if (tenantId === undefined) return refuseWithoutIdentity('tenantId', sources);
  const settings: Settings = {
    clientId,
    tenantId,
    tokenExpiration: azure.tokenExpiration ?? TOKEN_LIFETIME.default,
    organizations: values.organizations ?? [],
    projects: values.projects ?? [],
    skipContainers: azure.skipContainers ?? [],
    containers: values.containers,
    gitConfig: values.gitConfig ?? 'auto',
    startup: values.startup ?? 'proceed',
    port: values.port ?? defaults.port,
    resources: values.sidecarResources,
    logLevel: values.logLevel ?? 'info',
  };
  return { settings, warnings: warnOfUnknown(sources) };
}

function refuseByMode(values: Values, { pod }: Sources): SettingsResult | undefined {
  const gateway = values.mode === 'gateway';
  if (!gateway && (values.repositories !== undefined || values.access === 'read')) {
    const annotation = values.repositories === undefined ? ANNOTATION.access : ANNOTATION.repositories;
    return {
      reason: 'not-enforceable',
      message: `${pod.description}: annotation ${annotation} can't be enforced in helper mode, where any process of the pod can read the token; remove it, or limit what the identity may do in Azure DevOps`,
    };
  }
  if (!gateway && values.identities === undefined) return undefined;
  return {
    reason: 'not-available',
    message: `${pod.description}: annotation ${gateway ? ANNOTATION.mode : ANNOTATION.identities} asks for what this version does not offer yet; remove it: the pod is then served in helper mode with one identity`,
  };
}

function refuseWithoutIdentity(
  key: 'clientId' | 'tenantId',
  { serviceAccount, serviceAccountTarget }: Sources,
): SettingsResult {
  const annotation = AZURE_ANNOTATION[key];
  return {
    reason: key === 'clientId' ? 'no-client-id' : 'no-tenant-id',
    message: `${serviceAccount.description} has no annotation ${annotation}; kubectl annotate ${serviceAccountTarget} ${annotation}=${key === 'clientId' ? 'CLIENT_ID' : 'TENANT_ID'} (or set the chart's azure.${key}), then create the pod again`,
  };
}

function readGroup({ annotations, description }: Source, problems: string[]): Values {
  const values: Partial<Record<Key, unknown>> = {};
  for (const key of Object.keys(ANNOTATION) as Key[]) {
    const written = annotations[ANNOTATION[key]];
    if (written === undefined) continue;
    // The API server compares `inject` as it is written; what it does not recognise must not count here.
    const text = key === 'inject' ? written : written.trim();
    const reading = text === '' ? { problem: 'is empty; give it a value or remove it' } : READERS[key](text);
    if ('value' in reading) values[key] = reading.value;
    else problems.push(`${description}: annotation ${ANNOTATION[key]} ${describeProblem(text, reading)}`);
  }
  return values as Values;
}

type AzureValues = { [K in keyof typeof AZURE_ANNOTATION]: ValueOf<(typeof AZURE_READERS)[K]> | undefined };

/** The Azure webhook's annotations where they decide something: a value that another outranks is not looked at. */
function readAzure({ pod, serviceAccount }: Sources, values: Values, problems: string[]): AzureValues {
  const read = <T>(annotation: string, reader: Reader<T>, sources: readonly Source[]): T | undefined => {
    for (const { annotations, description } of sources) {
      const text = annotations[annotation]?.trim() ?? '';
      if (text === '') continue;
      const reading = reader(text);
      if ('value' in reading) return reading.value;
      problems.push(`${description}: annotation ${annotation} ${describeProblem(text, reading)}`);
      return undefined;
    }
    return undefined;
  };
  const { clientId, tenantId, tokenExpiration, skipContainers } = AZURE_ANNOTATION;
  return {
    clientId: read(clientId, AZURE_READERS.clientId, values.clientId === undefined ? [serviceAccount] : []),
    tenantId: read(tenantId, AZURE_READERS.tenantId, values.tenantId === undefined ? [serviceAccount] : []),
    tokenExpiration: read(tokenExpiration, AZURE_READERS.tokenExpiration, [pod, serviceAccount]),
    skipContainers: read(skipContainers, AZURE_READERS.skipContainers, [pod]),
  };
}

/** So many unknown annotations are named; each costs a comparison with all known ones. */
const MAX_UNKNOWN = 8;

function warnOfUnknown({ pod, serviceAccount }: Sources): Warning[] {
  const unknown = [pod, serviceAccount].flatMap(({ annotations, description }) =>
    Object.keys(annotations)
      .filter((name) => name.startsWith(`${GROUP}/`) && !KNOWN.has(name) && !WRITTEN.has(name))
      .slice(0, MAX_UNKNOWN)
      .map((name) => {
        const nearest = findNearest(name, [...KNOWN]);
        return `${description}: annotation ${truncate(name)} is not known${nearest === undefined ? '' : `; did you mean ${nearest}?`}`;
      }),
  );
  const misplaced =
    serviceAccount.annotations[ANNOTATION.inject] === undefined
      ? []
      : [
          `${serviceAccount.description}: annotation ${ANNOTATION.inject} counts on pods, and as a label on namespaces; remove it here`,
        ];
  return [...unknown, ...misplaced].map((message) => ({ code: 'unknown-annotation', message }));
}

/** What is malformed among the pod's annotations of the group: denied whatever else is amiss. */
export function findMalformed(source: Source): string | undefined {
  const problems: string[] = [];
  readGroup(source, problems);
  return problems.length === 0 ? undefined : problems.join('; ');
}

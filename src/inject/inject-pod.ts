/** Injection of one pod: the pod, what is known of its service account and the defaults in; a patch or a reason out. PURE. */
import type { Container, Pod } from '../kubernetes/types.js';
import { ANNOTATION, AZURE_ANNOTATION, MAX_CONFIG_BYTES } from '../names.js';
import { joinTruncated } from '../values/text.js';
import { buildPatch, type Plans, renderTexts } from './build.js';
import {
  asPod,
  type ContainerRef,
  describePod,
  findPodProblem,
  isEarlierPass,
  listUserContainers,
  readTexts,
} from './candidate.js';
import { decideAnswer, decideToSkip, findMeshProxy, findPodRefusal, findSettingsRefusal } from './eligibility.js';
import { planChannels, withoutOurEnv } from './git-channels.js';
import { ListEdit, type Operation } from './patch.js';
import type { RefusalReason, Refused, Skipped, Warning } from './reasons.js';
import { type Defaults, findMalformed, isReadFromServiceAccount, resolveSettings, type Settings } from './settings.js';
import type { Status } from './status-annotation.js';

/** What is known of the pod's service account. */
export type ServiceAccountLookup =
  | { readonly state: 'found'; readonly annotations: Readonly<Record<string, string>> }
  | { readonly state: 'missing' }
  /** Not in the cache (or there without an identity), and the live read failed or was late; `cause` says which. */
  | { readonly state: 'unavailable'; readonly cause: string };

export interface InjectInput {
  /** Raw JSON from outside; anything is survived. */
  readonly pod: unknown;
  /** Namespace of the request: the pod's own is often empty at creation. */
  readonly namespace: string;
  readonly serviceAccount: ServiceAccountLookup;
  readonly defaults: Defaults;
  /** How the pod is called in sentences, where its own name says less than that of the object which holds its template. */
  readonly description?: string;
}

export interface Injected {
  readonly kind: 'injected';
  /** RFC 6902; empty where an earlier pass has done it all. */
  readonly patch: readonly Operation[];
  readonly warnings: readonly Warning[];
  readonly status: Status;
}

export type Outcome = Injected | Skipped | Refused;

/** Name of the service account that must be looked up; `undefined` where the outcome does not depend on one. */
export function serviceAccountOf(pod: unknown): string | undefined {
  if (decideToSkip(pod, '') !== undefined || findPodProblem(pod) !== undefined) return undefined;
  if (findPodRefusal(asPod(pod), '') !== undefined) return undefined;
  return readServiceAccountName(asPod(pod));
}

/** Whether a pod with a service account of these annotations has a client and a tenant. */
export function hasIdentity(pod: unknown, annotations: Readonly<Record<string, string>>, defaults: Defaults): boolean {
  const ofPod = readTexts(pod, 'annotations');
  const isSet = (...values: readonly (string | undefined)[]): boolean =>
    values.some((value) => (value ?? '').trim() !== '');
  return (
    isSet(
      ofPod[ANNOTATION.clientId],
      annotations[ANNOTATION.clientId],
      annotations[AZURE_ANNOTATION.clientId],
      defaults.clientId,
    ) &&
    isSet(
      ofPod[ANNOTATION.tenantId],
      annotations[ANNOTATION.tenantId],
      annotations[AZURE_ANNOTATION.tenantId],
      defaults.tenantId,
    )
  );
}

/** The API server keeps 4 KiB of warnings. */
const MAX_WARNINGS = 16;

const NO_ANNOTATIONS: Readonly<Record<string, string>> = Object.freeze({});

/** Of a service account's annotations those that injection reads; always the same empty object for none. */
export function keepAnnotations(annotations: unknown): Readonly<Record<string, string>> {
  if (typeof annotations !== 'object' || annotations === null) return NO_ANNOTATIONS;
  const kept = Object.entries(annotations).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && isReadFromServiceAccount(entry[0]),
  );
  return kept.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(kept);
}

/** Decides on one pod. It never throws, and does not change its input. */
export function injectPod(input: InjectInput): Outcome {
  const { pod: raw, namespace, serviceAccount, defaults, description = describePod(raw, namespace) } = input;
  const skipped = decideToSkip(raw, description);
  if (skipped !== undefined) return skipped;
  const source = { annotations: readTexts(raw, 'annotations'), description };
  const malformed = findMalformed(source);
  const refuse = (refusal: { reason: RefusalReason; message: string }): Refused => {
    // A malformed value of the group is denied whatever else is amiss.
    const { reason, message } =
      malformed === undefined || refusal.reason === 'invalid-annotation'
        ? refusal
        : ({ reason: 'invalid-annotation', message: malformed } as const);
    return { kind: 'refused', reason, message, answer: decideAnswer(reason, raw) };
  };
  const problem = findPodProblem(raw);
  if (problem !== undefined) return refuse({ reason: 'malformed-pod', message: `${description}: ${problem}` });
  const pod = asPod(raw);
  const obstacle = findPodRefusal(pod, description);
  if (obstacle !== undefined) return refuse(obstacle);

  const account = readServiceAccountName(pod);
  if (serviceAccount.state !== 'found') return refuse(explainLookup(serviceAccount, namespace, account));
  const resolved = resolveSettings(
    {
      pod: source,
      serviceAccount: {
        annotations: serviceAccount.annotations,
        description: `service account ${namespace}/${account}`,
      },
      serviceAccountTarget: `serviceaccount ${account} -n ${namespace}`,
    },
    defaults,
  );
  if ('reason' in resolved) return refuse(resolved);
  const { settings } = resolved;
  const places = listUserContainers(pod);
  const configured = places.filter(({ container }) => isConfigured(container, settings));
  const settingsObstacle = findSettingsRefusal(pod, settings, configured, description);
  if (settingsObstacle !== undefined) return refuse(settingsObstacle);

  const plans = planPod(pod, configured, settings);
  const texts = renderTexts(settings, plans);
  const bytes = Object.values<string | undefined>({ ...texts }).reduce(
    (sum, text) => sum + Buffer.byteLength(text ?? ''),
    0,
  );
  if (bytes > MAX_CONFIG_BYTES) {
    return refuse({
      reason: 'settings-too-large',
      message: `${description}: git's configuration would take ${bytes} bytes of annotations, more than ${MAX_CONFIG_BYTES}; name fewer organizations and projects`,
    });
  }
  const { settings: effective, warnings: startupWarnings } = fitStartup(pod, settings);
  const { patch, status } = buildPatch({ pod, settings: effective, defaults, places, plans, texts });
  const warnings = [
    ...resolved.warnings,
    ...warnOfContainers(places, settings),
    ...startupWarnings,
    ...[...plans.values()].flatMap((plan) => plan.warnings),
  ]
    .slice(0, MAX_WARNINGS)
    .map(({ code, message }) => ({
      code,
      message: message.startsWith('container ') ? `${description}: ${message}` : message,
    }));
  return { kind: 'injected', patch, warnings, status };
}

function readServiceAccountName(pod: Pod): string {
  const name = pod.spec.serviceAccountName ?? '';
  return name === '' ? 'default' : name;
}

function explainLookup(
  lookup: Exclude<ServiceAccountLookup, { state: 'found' }>,
  namespace: string,
  account: string,
): { reason: RefusalReason; message: string } {
  if (lookup.state === 'missing') {
    return {
      reason: 'no-service-account',
      message: `service account ${namespace}/${account} does not exist; kubectl create serviceaccount ${account} -n ${namespace}`,
    };
  }
  return {
    reason: 'service-account-unavailable',
    message: `service account ${namespace}/${account} could not be read: ${lookup.cause}; this passes by itself, try again`,
  };
}

function isConfigured({ name }: Container, { skipContainers, containers }: Settings): boolean {
  return !skipContainers.includes(name) && containers?.includes(name) !== false;
}

function planPod(pod: Pod, configured: readonly ContainerRef[], settings: Settings): Plans {
  const earlierPass = isEarlierPass(pod);
  return new Map(
    configured.map(({ container }) => {
      const env = new ListEdit('', container.env);
      if (earlierPass) withoutOurEnv(env);
      return [container, planChannels(container, env.items, pod.spec, settings.gitConfig)];
    }),
  );
}

function fitStartup(pod: Pod, settings: Settings): { settings: Settings; warnings: readonly Warning[] } {
  const proxy = findMeshProxy(pod);
  if (settings.startup !== 'wait' || proxy === undefined) return { settings, warnings: [] };
  const message = `container ${proxy}: there is no network before it runs, so startup wait acts as proceed`;
  return { settings: { ...settings, startup: 'proceed' }, warnings: [{ code: 'startup-proceeds', message }] };
}

function warnOfContainers(places: readonly ContainerRef[], { containers, skipContainers }: Settings): Warning[] {
  const known = new Set(places.map(({ container }) => container.name));
  const warn = (annotation: string, names: readonly string[]): Warning[] => {
    const unknown = names.filter((name) => !known.has(name));
    if (unknown.length === 0) return [];
    const message = `container ${joinTruncated(unknown)}: annotation ${annotation} names it, but the pod has ${joinTruncated(known)}`;
    return [{ code: 'unknown-container', message }];
  };
  return [...warn(ANNOTATION.containers, containers ?? []), ...warn(AZURE_ANNOTATION.skipContainers, skipContainers)];
}

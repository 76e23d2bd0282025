/** Injection of one pod in two phases: it is examined, and completed once its service account is known. PURE. */
import { MAX_ANNOTATIONS_BYTES, MAX_CONFIG_BYTES } from '../defaults.js';
import type { Container, EnvVar } from '../kubernetes/types.js';
import { quoteForShell } from '../values/shell.js';
import { showName } from '../values/text.js';
import { type AnnotationsBytes, buildPatch, type Plans, renderGitFiles } from './build.js';
import { type Candidate, examinePod } from './candidate.js';
import { type ContainerRef, describeUnknownNames } from './containers.js';
import { findSettingsRefusal, refuse, refusePod } from './eligibility.js';
import { planChannels } from './git-channels.js';
import { removeOurEnv } from './git-environment.js';
import { findMeshProxy } from './mesh.js';
import { ListEdit, type Operation } from './patch.js';
import type { CheckedPod } from './pod-shape.js';
import { readSource } from './read-annotations.js';
import type { PodRefusal, Refusal, Refused, Skipped, Warning } from './reasons.js';
import { type Defaults, type Resolved, resolveSettings, type Settings } from './settings.js';
import { isEarlierPass, readFormerIdentity, type Status } from './status-annotation.js';

/** What is known of the pod's service account. */
export type ServiceAccountLookup =
  | { readonly state: 'found'; readonly annotations: Readonly<Record<string, string>> }
  | { readonly state: 'missing' }
  /** The read failed or was late; `cause` says which. */
  | { readonly state: 'unavailable'; readonly cause: string };

interface Injected {
  readonly kind: 'injected';
  /** Whether the pod is marked by an earlier pass: this one is then no injection of its own. */
  readonly isLaterPass: boolean;
  /** RFC 6902; empty where an earlier pass left nothing to do. */
  readonly patch: readonly Operation[];
  readonly warnings: readonly Warning[];
  readonly status: Status;
}

export type Outcome = Injected | Skipped | Refused;

interface InjectInput {
  /** Raw JSON from outside, of any shape. */
  readonly pod: unknown;
  /** Namespace of the request: at creation, the pod's own is often empty. */
  readonly namespace: string;
  readonly serviceAccount: ServiceAccountLookup;
  readonly defaults: Defaults;
}

/** Decides on a pod whose service account is known from the start. It never throws, and does not change its input. */
export function injectPod({ pod, namespace, serviceAccount, defaults }: InjectInput): Outcome {
  const examined = examinePod(pod, namespace);
  return examined.kind === 'candidate' ? completeInjection(examined, serviceAccount, defaults) : examined;
}

/** Decides on a candidate. It never throws; a candidate can be completed again with another lookup. */
export function completeInjection(candidate: Candidate, lookup: ServiceAccountLookup, defaults: Defaults): Outcome {
  const { pod, containers, source } = candidate;
  const resolved = resolve(candidate, lookup, keepIdentity(pod, defaults));
  if ('reason' in resolved) return refuse(source, resolved);
  const { settings } = resolved;
  const configured = selectConfigured(containers, settings);
  const refusal = findSettingsRefusal(pod, containers, configured, settings);
  if (refusal !== undefined) return refusePod(source, refusal);
  const plans = planPod(pod, configured, settings);
  const files = renderGitFiles(settings, plans);
  if (files === undefined) return refusePod(source, CONFIG_TOO_LARGE);
  const effective: Settings =
    findDelayingProxy(pod, settings) === undefined ? settings : { ...settings, startup: 'proceed' };
  const { patch, status, annotationsBytes } = buildPatch({
    pod,
    settings: effective,
    defaults,
    containers,
    plans,
    files,
  });
  const overflow = findOverflow(annotationsBytes);
  if (overflow !== undefined) return refusePod(source, overflow);
  const warnings = listWarnings(candidate, resolved, plans);
  return { kind: 'injected', isLaterPass: isEarlierPass(pod), patch, warnings, status };
}

/** During an upgrade replicas differ: where a default is missing in one, what another wrote for the pod stays. */
function keepIdentity(pod: CheckedPod, defaults: Defaults): Defaults {
  const former = readFormerIdentity(pod);
  return {
    ...defaults,
    clientId: defaults.clientId ?? former.clientId,
    tenantId: defaults.tenantId ?? former.tenantId,
  };
}

function resolve(
  { source, namespace, serviceAccountName }: Candidate,
  lookup: ServiceAccountLookup,
  defaults: Defaults,
): Resolved | Refusal {
  const description = `service account ${showName(namespace)}/${showName(serviceAccountName)}`;
  const target = `serviceaccount ${quoteForShell(serviceAccountName)} -n ${quoteForShell(namespace)}`;
  switch (lookup.state) {
    case 'found': {
      const serviceAccount = readSource('service-account', description, lookup.annotations);
      return resolveSettings({ pod: source, serviceAccount, serviceAccountTarget: target }, defaults);
    }
    case 'missing':
      return {
        reason: 'no-service-account',
        subject: 'service-account',
        message: `${description} does not exist; kubectl create ${target}`,
      };
    case 'unavailable':
      return {
        reason: 'service-account-unavailable',
        subject: 'service-account',
        message: `${description} could not be read: ${lookup.cause}; this is temporary, try again`,
      };
  }
}

function selectConfigured(all: readonly ContainerRef[], { skipContainers, containers }: Settings): ContainerRef[] {
  const skipped = new Set(skipContainers);
  const chosen = containers === undefined ? undefined : new Set(containers);
  return all.filter(({ container: { name } }) => !skipped.has(name) && chosen?.has(name) !== false);
}

function planPod(pod: CheckedPod, configured: readonly ContainerRef[], settings: Settings): Plans {
  const earlierPass = isEarlierPass(pod);
  return new Map(
    configured.map(({ container }) => {
      const env = earlierPass ? listOwnEnv(container) : (container.env ?? []);
      return [container, planChannels(container, env, pod.spec, settings.gitConfig)];
    }),
  );
}

/** The environment as the user wrote it, without the items of an earlier pass. */
function listOwnEnv({ env }: Container): readonly EnvVar[] {
  const edit = new ListEdit('', env);
  removeOurEnv(edit);
  return edit.items;
}

const CONFIG_TOO_LARGE: PodRefusal = {
  reason: 'settings-too-large',
  clause: `git's configuration would take more than ${MAX_CONFIG_BYTES} bytes of annotations; name fewer organizations and projects`,
};

/** The API server would refuse the pod for our annotations. One whose own are too large it refuses by itself. */
function findOverflow({ all, withoutOurs }: AnnotationsBytes): PodRefusal | undefined {
  if (all <= MAX_ANNOTATIONS_BYTES || withoutOurs > MAX_ANNOTATIONS_BYTES) return undefined;
  return {
    reason: 'settings-too-large',
    clause: `with git's configuration, metadata.annotations would take ${all} bytes, more than the ${MAX_ANNOTATIONS_BYTES} that Kubernetes allows; shorten the pod's own annotations, or name fewer organizations and projects`,
  };
}

/** The proxy because of which startup `wait` acts as `proceed`: no token can come before there is a network. */
function findDelayingProxy(pod: CheckedPod, { startup }: Settings): string | undefined {
  return startup === 'wait' ? findMeshProxy(pod) : undefined;
}

/** The API server keeps 4 KiB of warnings. */
const MAX_WARNINGS = 16;

function listWarnings(candidate: Candidate, { settings, warnings }: Resolved, plans: Plans): Warning[] {
  const { pod, source } = candidate;
  const warnOfContainer = (container: string, code: Warning['code'], clause: string): Warning => ({
    code,
    subject: { container },
    message: `${source.description}: container ${showName(container)}: ${clause}`,
  });
  const all = [...warnings, ...warnOfUnknownContainers(candidate, settings), ...warnOfSharedProcesses(candidate)];
  const proxy = findDelayingProxy(pod, settings);
  if (proxy !== undefined) {
    const clause = 'there is no network before it runs, so startup wait acts as proceed';
    all.push(warnOfContainer(proxy, 'startup-proceeds', clause));
  }
  for (const [{ name }, plan] of plans) {
    if (all.length >= MAX_WARNINGS) break;
    for (const { code, clause } of plan.warnings) all.push(warnOfContainer(name, code, clause));
  }
  return all.slice(0, MAX_WARNINGS);
}

/** The image keeps the sidecar's `/proc` from processes of its own user. A capability for it is beyond the image. */
function warnOfSharedProcesses({ pod, source }: Candidate): Warning[] {
  const field = (['shareProcessNamespace', 'hostPID'] as const).find((one) => pod.spec[one] === true);
  if (field === undefined) return [];
  const message = `${source.description}: spec.${field} shows the sidecar to other processes: those with the capability SYS_PTRACE can read its service account token in /proc; don't add SYS_PTRACE or privileged, or remove ${field}`;
  return [{ code: 'processes-shared', subject: 'pod', message }];
}

function warnOfUnknownContainers({ source, containers }: Candidate, settings: Settings): Warning[] {
  return describeUnknownNames(containers, settings).map((clause) => ({
    code: 'unknown-container',
    subject: 'pod',
    message: `${source.description}: ${clause}`,
  }));
}

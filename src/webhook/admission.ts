/** Answers one admission: bytes in, an HTTP answer out. Log line, metric and report are made from the same outcome. */
import { describeError } from '../errors.js';
import {
  completeInjection,
  type Defaults,
  examinePod,
  type Outcome,
  type Reason,
  type ServiceAccountLookup,
} from '../inject/index.js';
import type { Logger } from '../log.js';
import {
  type AdmissionOutcome,
  type AdmissionRequest,
  decodeReview,
  encodeOther,
  encodeOutcome,
  nameOutcome,
  writeFailure,
  writeReview,
} from './admission-review.js';
import type { ServiceAccounts } from './service-account-lookup.js';
import type { NextTurn } from './turns.js';
import { groupWarnings } from './warnings.js';

export interface AdmissionOptions {
  readonly serviceAccounts: ServiceAccounts;
  readonly defaults: Defaults;
  readonly log: Logger;
  /** Called with each outcome, except on dry runs; must neither throw nor take time. */
  readonly report: (outcome: Outcome, request: AdmissionRequest) => void;
}

export interface AdmissionAnswer {
  readonly status: number;
  /** JSON: an AdmissionReview, or a Status where there was none to answer. */
  readonly body: string;
  readonly outcome: AdmissionOutcome;
  readonly reason: Reason | '';
}

/** The work is done before it returns; what has to wait for a live read is done in a turn of its own. */
export type Admit = (bytes: Buffer, next: NextTurn) => Promise<AdmissionAnswer>;

type LiveRead = Awaited<ReturnType<ServiceAccounts['readLive']>>;

/** Names a service account that must be read before the pod can be decided on. */
interface AccountToRead {
  readonly kind: 'account-to-read';
  readonly namespace: string;
  readonly name: string;
}

const OVER_BUDGET: ServiceAccountLookup = { state: 'unavailable', cause: 'too many were read in the last seconds' };

/** Creates the function that answers reviews. It never rejects: a defect of this program is answered with status 500. */
export function createAdmission({ serviceAccounts, defaults, log, report }: AdmissionOptions): Admit {
  const decide = ({ pod, namespace }: AdmissionRequest, live: LiveRead | undefined): Outcome | AccountToRead => {
    const candidate = examinePod(pod, namespace);
    if (candidate.kind !== 'candidate') return candidate;
    const name = candidate.serviceAccountName;
    const complete = (lookup: ServiceAccountLookup): Outcome => completeInjection(candidate, lookup, defaults);
    if (live !== undefined && live !== 'over-budget') return complete(live);
    const cached = serviceAccounts.findCached(namespace, name);
    const outcome = cached === undefined ? undefined : complete(cached);
    // Anybody who reaches the port can use up the reads. What the watch has brought must then do: it is rarely behind.
    if (live === 'over-budget') return outcome ?? complete(OVER_BUDGET);
    // The watch may be behind a user who has just annotated the service account.
    if (outcome !== undefined && !lacksIdentity(outcome)) return outcome;
    return { kind: 'account-to-read', namespace, name };
  };

  const answerPod = (request: AdmissionRequest, live: LiveRead | undefined): AdmissionAnswer | AccountToRead => {
    const outcome = decide(request, live);
    if (outcome.kind === 'account-to-read') return outcome;
    logOutcome(log, outcome, request);
    if (!request.dryRun) report(outcome, request);
    return {
      status: 200,
      body: writeReview(encodeOutcome(request.uid, outcome)),
      outcome: nameOutcome(outcome),
      reason: outcome.kind === 'injected' ? '' : outcome.reason,
    };
  };

  const answer = (bytes: Buffer, live?: LiveRead): AdmissionAnswer | AccountToRead => {
    const decoded = decodeReview(bytes);
    switch (decoded.kind) {
      case 'pod':
        return answerPod(decoded.request, live);
      case 'not-a-pod-creation':
      case 'incomplete': {
        const outcome = decoded.kind === 'incomplete' ? 'refused' : 'not_a_pod_creation';
        log.warn(decoded.message, { outcome, uid: decoded.uid });
        return { status: 200, body: writeReview(encodeOther(decoded)), outcome, reason: '' };
      }
      case 'unreadable':
        return answerFailure(log, { status: 400, reason: 'BadRequest', outcome: 'refused', message: decoded.message });
    }
  };

  return async (bytes, next) => {
    try {
      const first = answer(bytes);
      if (!('kind' in first)) return first;
      const live = await serviceAccounts.readLive(first.namespace, first.name);
      // A parsed pod takes up to thirty times the memory of its bytes, and many may wait for a slow API server: it is parsed again.
      const second = await next(() => answer(bytes, live));
      if ('kind' in second) throw new Error('the pod asks for a service account that was read');
      return second;
    } catch (error) {
      log.error('a defect: the admission could not be decided', {
        cause: describeError(error),
        stack: findFirstFrame(error),
      });
      // The cause is for the log only: the answer may go to a stranger.
      const message =
        "the pod could not be decided on because of a defect of ado-git-identity; the webhook's log says more";
      return answerFailure(log, { status: 500, reason: 'InternalError', outcome: 'failed', message });
    }
  };
}

function lacksIdentity(outcome: Outcome): boolean {
  return outcome.kind === 'refused' && (outcome.reason === 'no-client-id' || outcome.reason === 'no-tenant-id');
}

/** Why a request gets no review as its answer. */
export interface Failure {
  /** Of HTTP. */
  readonly status: number;
  /** Of the `metav1.Status`, such as `BadRequest`. */
  readonly reason: string;
  readonly outcome: 'refused' | 'overloaded' | 'failed';
  readonly message: string;
}

/** The answer to a request that can't be answered with a review. It is logged here. */
export function answerFailure(
  log: Pick<Logger, 'warn'>,
  { status, reason, outcome, message }: Failure,
): AdmissionAnswer {
  log.warn(message, { outcome, status });
  return { status, body: writeFailure({ code: status, reason, message }), outcome, reason: '' };
}

function logOutcome(log: Logger, outcome: Outcome, request: AdmissionRequest): void {
  const { namespace, podName: pod, dryRun, uid } = request;
  const fields = { outcome: nameOutcome(outcome), namespace, pod, uid, ...(dryRun && { dryRun }) };
  switch (outcome.kind) {
    case 'injected': {
      const { clientId, tenantId } = outcome.status;
      log.debug('pod injected', {
        ...fields,
        clientId,
        tenantId,
      });
      // An unchanged pod was reported by the pass that injected it.
      if (fields.outcome === 'unchanged') return;
      for (const { code, message } of groupWarnings(outcome.warnings)) log.info(message, { ...fields, warning: code });
      return;
    }
    case 'skipped':
      log.debug(outcome.message, { ...fields, reason: outcome.reason });
      return;
    case 'refused':
      log.info(outcome.message, { ...fields, reason: outcome.reason });
  }
}

/** Where in the code a defect is. For the log only, never shown to users. */
function findFirstFrame(error: unknown): string | undefined {
  return error instanceof Error ? error.stack?.split('\n', 2)[1]?.trim() : undefined;
}

/** One admission: bytes in, an HTTP answer out. Log lines, metrics and reports hang off its one result. */
import { describeError } from '../errors.js';
import { type Defaults, hasIdentity, injectPod, type Outcome, type Reason, serviceAccountOf } from '../inject/index.js';
import type { Logger } from '../log.js';
import {
  type AdmissionRequest,
  type AdmissionResult,
  decodeReview,
  encodeOther,
  encodeOutcome,
  nameResult,
  writeFailure,
  writeReview,
} from './admission-review.js';
import type { ServiceAccounts } from './service-account-lookup.js';

export interface AdmissionOptions {
  readonly serviceAccounts: ServiceAccounts;
  readonly defaults: Defaults;
  readonly log: Logger;
  /** Told of each outcome but on dry runs; must not throw nor take time. */
  readonly report: (outcome: Outcome, request: AdmissionRequest) => void;
}

export interface AdmissionAnswer {
  readonly status: number;
  /** JSON: an AdmissionReview, or a Status where there was none to answer. */
  readonly body: string;
  readonly result: AdmissionResult;
  readonly reason: Reason | '';
}

export type Admit = (bytes: Buffer) => Promise<AdmissionAnswer>;

/** The function that answers reviews. It never rejects: a defect of this program is an answer too, with status 500. */
export function createAdmission({ serviceAccounts, defaults, log, report }: AdmissionOptions): Admit {
  const decide = async (request: AdmissionRequest): Promise<Outcome> => {
    const { pod, namespace } = request;
    const name = serviceAccountOf(pod);
    const serviceAccount =
      name === undefined
        ? ({ state: 'missing' } as const)
        : await serviceAccounts.find(namespace, name, (annotations) => hasIdentity(pod, annotations, defaults));
    return injectPod({ pod, namespace, serviceAccount, defaults });
  };

  const answerPod = async (request: AdmissionRequest): Promise<AdmissionAnswer> => {
    const outcome = await decide(request);
    const result = nameResult(outcome);
    logOutcome(log, outcome, result, request);
    if (!request.dryRun) report(outcome, request);
    const body = writeReview(encodeOutcome(request.uid, outcome));
    return { status: 200, body, result, reason: outcome.kind === 'injected' ? '' : outcome.reason };
  };

  return async (bytes) => {
    try {
      const decoded = decodeReview(bytes);
      switch (decoded.kind) {
        case 'pod':
          return await answerPod(decoded.request);
        case 'not-a-pod-creation':
        case 'incomplete': {
          const result = decoded.kind === 'incomplete' ? 'refused' : decoded.kind;
          log.warn(decoded.message, { outcome: result, uid: decoded.uid });
          return { status: 200, body: writeReview(encodeOther(decoded)), result, reason: '' };
        }
        case 'unreadable':
          return answerFailure(log, 400, 'BadRequest', 'refused', decoded.message);
      }
    } catch (error) {
      log.error('a defect: the admission could not be answered', {
        cause: describeError(error),
        stack: firstFrame(error),
      });
      const message = `a defect of ado-git-identity kept it from answering: ${describeError(error)}`;
      return answerFailure(log, 500, 'InternalError', 'failed', message);
    }
  };
}

/** An answer to what can't be answered as a review, and its line in the log. */
export function answerFailure(
  log: Logger,
  status: number,
  reason: string,
  result: 'refused' | 'overloaded' | 'failed',
  message: string,
): AdmissionAnswer {
  log.warn(message, { outcome: result, status });
  return { status, body: writeFailure({ code: status, reason, message }), result, reason: '' };
}

function logOutcome(log: Logger, outcome: Outcome, result: AdmissionResult, request: AdmissionRequest): void {
  const { namespace, podName: pod, dryRun, uid } = request;
  const fields = { outcome: result, namespace, pod, uid, ...(dryRun && { dryRun }) };
  switch (outcome.kind) {
    case 'injected': {
      const { clientId, tenantId } = outcome.status;
      log.debug('the pod is injected', {
        ...fields,
        clientId,
        tenantId,
        warnings: outcome.warnings.map(({ code }) => code),
      });
      return;
    }
    case 'skipped':
      log.debug(outcome.message, { ...fields, reason: outcome.reason });
      return;
    case 'refused':
      log.info(outcome.message, { ...fields, reason: outcome.reason });
  }
}

/** Where a defect is, for who mends it; never shown to users. */
function firstFrame(error: unknown): string | undefined {
  return error instanceof Error ? error.stack?.split('\n', 2)[1]?.trim() : undefined;
}

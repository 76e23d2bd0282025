/** The webhook's series: few labels, no identities or names in them. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CertificateObserver } from '../certificates/managed/source.js';
import type { Reason } from '../inject/index.js';
import type { AdmissionResult } from './admission-review.js';
import type { ReflectorObserver } from './reflector.js';
import type { LiveReadResult } from './service-account-lookup.js';

export interface Metrics {
  /** Called where the caBundle is looked at: elsewhere the series would stand at 0 and alarm. Returns what is told of each look. */
  readonly observeCaBundle: () => (isValid: boolean) => void;
  /** Called where certificates are managed. */
  readonly observeManagedCertificates: () => CertificateObserver;
  readonly registry: Registry;
  readonly countAdmission: (result: AdmissionResult, reason: Reason | '') => void;
  /** From the head of an admission request to the end of its answer. */
  readonly observeDuration: (durationMs: number) => void;
  readonly countLiveRead: (result: LiveReadResult) => void;
  readonly countCertificateReload: (result: 'used' | 'refused') => void;
  /** Validity of the certificate that is served, milliseconds since 1970. */
  readonly setCertificateLife: (start: number, end: number) => void;
  readonly countEvent: (result: 'sent' | 'failed' | 'dropped') => void;
  readonly reflector: ReflectorObserver;
}

export interface MetricsOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly countServiceAccounts: () => number;
  readonly countInFlight: () => number;
  readonly isReady: () => boolean;
}

/** Each with a registry of its own, so that two webhooks in one process do not meet. */
export function createMetrics({ now, countServiceAccounts, countInFlight, isReady }: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const admissions = new Counter({
    name: 'ado_git_identity_admissions_total',
    help: 'Admission requests by outcome and, where a pod was not injected, the reason.',
    labelNames: ['outcome', 'reason'] as const,
    registers,
  });
  const duration = new Histogram({
    name: 'ado_git_identity_admission_duration_seconds',
    help: 'Time from the head of an admission request to the end of its answer.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers,
  });
  const gauge = (name: string, help: string, collect?: () => number): Gauge =>
    new Gauge({
      name: `ado_git_identity_${name}`,
      help,
      registers,
      ...(collect !== undefined && {
        collect() {
          this.set(collect());
        },
      }),
    });
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]): Counter<Label> =>
    new Counter({ name: `ado_git_identity_${name}`, help, labelNames, registers });

  gauge('ready', '1 while this replica is ready to serve.', () => (isReady() ? 1 : 0));
  gauge('admissions_in_flight', 'Admission requests that are being answered.', countInFlight);
  gauge('service_accounts', 'Service accounts in the cache.', countServiceAccounts);
  const isSynced = gauge('service_accounts_synced', '1 once a whole list of service accounts was in the cache.');
  const lastEvent = gauge(
    'service_accounts_last_event_timestamp_seconds',
    'When the watch of service accounts last brought something, an event or a bookmark.',
  );
  const watchRestarts = counter(
    'service_account_watch_restarts_total',
    'Ends of the watch of service accounts: planned (ended), too old (expired), broken (failed).',
    'cause',
  );
  const liveReads = counter(
    'service_account_live_reads_total',
    'Reads of a service account that the cache did not answer.',
    'result',
  );
  const certificateStart = gauge(
    'certificate_not_before_timestamp_seconds',
    'Begin of validity of the certificate that is served.',
  );
  const certificateEnd = gauge(
    'certificate_not_after_timestamp_seconds',
    'End of validity of the certificate that is served.',
  );
  const reloads = counter(
    'certificate_reloads_total',
    'Changes of the certificate: used, or refused as unfit.',
    'result',
  );
  const events = counter('events_total', 'Kubernetes Events on the owners of pods that were not injected.', 'result');
  isSynced.set(0);
  const observeCaBundle = (): ((isValid: boolean) => void) => {
    const bundleValid = gauge(
      'ca_bundle_valid',
      '1 while the caBundle of the webhook configuration is what it must be.',
    );
    return (isValid) => bundleValid.set(isValid ? 1 : 0);
  };

  return {
    registry,
    countAdmission: (outcome, reason) => admissions.inc({ outcome, reason }),
    observeDuration: (durationMs) => duration.observe(durationMs / 1000),
    countLiveRead: (result) => liveReads.inc({ result }),
    countCertificateReload: (result) => reloads.inc({ result }),
    setCertificateLife: (start, end) => {
      certificateStart.set(start / 1000);
      certificateEnd.set(end / 1000);
    },
    countEvent: (result) => events.inc({ result }),
    observeCaBundle,
    observeManagedCertificates: () => {
      const authorityEnd = gauge(
        'authority_not_after_timestamp_seconds',
        'End of validity of the managed authority that issues.',
      );
      const setBundleValid = observeCaBundle();
      const rotations = counter('rotations_total', 'Managed certificates that this replica has put into use.', 'kind');
      const repairs = counter('repairs_total', 'What others had undone and was put back.', 'object');
      return {
        rotated: (kind) => rotations.inc({ kind }),
        repaired: (object) => repairs.inc({ object }),
        reconciled: ({ authorityEnd: end, isBundleValid }) => {
          setBundleValid(isBundleValid);
          if (end !== undefined) authorityEnd.set(end / 1000);
        },
      };
    },
    reflector: {
      synced: () => {
        isSynced.set(1);
        lastEvent.set(now() / 1000);
      },
      heard: () => lastEvent.set(now() / 1000),
      restarted: (cause) => watchRestarts.inc({ cause }),
    },
  };
}

/** The webhook's metrics: few labels, and no identities or names in them. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type CertificateObserver, REPAIRED_OBJECTS, ROTATIONS } from '../certificates/managed/source.js';
import { type Outcome, type Reason, WARNING_CODES } from '../inject/index.js';
import type { EpochMs, Now } from '../time.js';
import { type AdmissionOutcome, OUTCOME_REASONS } from './admission-review.js';
import { EVENT_OUTCOMES, type EventOutcome } from './events.js';
import { type ReflectorObserver, WATCH_RESTART_CAUSES } from './reflector.js';
import { LIVE_READ_OUTCOMES, type LiveReadOutcome } from './service-account-lookup.js';
import { groupWarnings } from './warnings.js';

export interface Metrics extends AdmissionMetrics, ServiceAccountMetrics, CertificateMetrics {
  readonly registry: Registry;
  readonly countEvent: (outcome: EventOutcome) => void;
}

interface AdmissionMetrics {
  readonly countAdmission: (outcome: AdmissionOutcome, reason: Reason | '') => void;
  /** Each code of the outcome once; not those of a later pass that leaves the pod unchanged. */
  readonly countWarnings: (outcome: Outcome) => void;
  /** From the head of an admission request to the end of its answer. */
  readonly observeDuration: (durationMs: number) => void;
}

interface ServiceAccountMetrics {
  readonly countLiveRead: (outcome: LiveReadOutcome) => void;
  readonly reflector: ReflectorObserver;
}

const RELOAD_OUTCOMES = ['used', 'refused'] as const;
type ReloadOutcome = (typeof RELOAD_OUTCOMES)[number];

interface CertificateMetrics {
  readonly countCertificateReload: (outcome: ReloadOutcome) => void;
  /** Of the certificate that is served. */
  readonly setValidity: (notBefore: EpochMs, notAfter: EpochMs) => void;
  /**
   * Registers the series of the caBundle, where it is verified: elsewhere it would be 0 and raise an alarm.
   * @returns the function that sets it.
   */
  readonly observeCaBundle: () => (isValid: boolean) => void;
  /** Registers the series of managed certificates, the caBundle's too. */
  readonly observeManagedCertificates: () => CertificateObserver;
}

export interface MetricsOptions {
  readonly now: Now;
  readonly countServiceAccounts: () => number;
  readonly countInFlight: () => number;
  readonly isReady: () => boolean;
}

/** Each call has a registry of its own, so that two webhooks in one process do not share series. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const series = createSeries(registry);
  series.gauge('ready', '1 while this replica is ready to serve.', () => (options.isReady() ? 1 : 0));
  const events = series.counter(
    'events_total',
    'Kubernetes Events on the owners of pods that were not injected, or injected with warnings.',
    EVENT_OUTCOMES.map((outcome) => ({ outcome })),
  );
  return {
    registry,
    ...createAdmissionMetrics(series, options),
    ...createServiceAccountMetrics(series, options),
    ...createCertificateMetrics(series),
    countEvent: (outcome) => events.inc({ outcome }),
  };
}

type Series = ReturnType<typeof createSeries>;

/** Makes single series; names get the prefix of the product. */
function createSeries(registry: Registry) {
  const describe = (name: string, help: string) => ({
    name: `ado_git_identity_${name}`,
    help,
    registers: [registry],
  });
  return {
    gauge: (name: string, help: string, read?: () => number): Gauge => {
      if (read === undefined) return new Gauge(describe(name, help));
      return new Gauge({
        ...describe(name, help),
        collect() {
          this.set(read());
        },
      });
    },
    /**
     * @param combinations all labels that can occur. Each starts at 0: of a series that appears with its first event,
     *   `increase()` and `rate()` do not see that event.
     */
    counter: <Label extends string>(
      name: string,
      help: string,
      combinations: readonly Readonly<Record<Label, string>>[],
    ): Counter<Label> => {
      const labelNames = Object.keys(combinations[0] ?? {}) as Label[];
      const counter = new Counter({ ...describe(name, help), labelNames });
      for (const labels of combinations) counter.inc(labels, 0);
      return counter;
    },
    histogram: (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ ...describe(name, help), buckets }),
  };
}

function createAdmissionMetrics(series: Series, { countInFlight }: MetricsOptions): AdmissionMetrics {
  const admissions = series.counter(
    'admissions_total',
    'Admission requests by outcome and, where a pod was not injected, the reason.',
    Object.entries(OUTCOME_REASONS).flatMap(([outcome, reasons]) => reasons.map((reason) => ({ outcome, reason }))),
  );
  const duration = series.histogram(
    'admission_duration_seconds',
    'Time from the head of an admission request to the end of its answer.',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  );
  const warnings = series.counter(
    'warnings_total',
    'Pods that were injected with a warning, by its code.',
    WARNING_CODES.map((code) => ({ code })),
  );
  series.gauge('admissions_in_flight', 'Admission requests that are being answered.', countInFlight);
  return {
    countAdmission: (outcome, reason) => admissions.inc({ outcome, reason }),
    countWarnings: (outcome) => {
      if (outcome.kind !== 'injected' || outcome.patch.length === 0) return;
      for (const { code } of groupWarnings(outcome.warnings)) warnings.inc({ code });
    },
    observeDuration: (durationMs) => duration.observe(durationMs / 1000),
  };
}

function createServiceAccountMetrics(
  series: Series,
  { now, countServiceAccounts }: MetricsOptions,
): ServiceAccountMetrics {
  series.gauge('service_accounts', 'Service accounts in the cache.', countServiceAccounts);
  const isSynced = series.gauge('service_accounts_synced', '1 once a whole list of service accounts was in the cache.');
  const lastEvent = series.gauge(
    'service_accounts_last_event_timestamp_seconds',
    'When the watch of service accounts last brought something, an event or a bookmark.',
  );
  const watchRestarts = series.counter(
    'service_account_watch_restarts_total',
    'Ends of the watch of service accounts: planned (ended), too old (expired), broken (failed).',
    WATCH_RESTART_CAUSES.map((cause) => ({ cause })),
  );
  const liveReads = series.counter(
    'service_account_live_reads_total',
    'Reads of a service account that the cache did not answer.',
    LIVE_READ_OUTCOMES.map((outcome) => ({ outcome })),
  );
  isSynced.set(0);
  const hear = (): void => lastEvent.set(now() / 1000);
  return {
    countLiveRead: (outcome) => liveReads.inc({ outcome }),
    reflector: {
      synced: () => {
        isSynced.set(1);
        hear();
      },
      heard: hear,
      restarted: (cause) => watchRestarts.inc({ cause }),
    },
  };
}

function createCertificateMetrics(series: Series): CertificateMetrics {
  const start = series.gauge(
    'certificate_not_before_timestamp_seconds',
    'Start of validity of the certificate that is served.',
  );
  const end = series.gauge(
    'certificate_not_after_timestamp_seconds',
    'End of validity of the certificate that is served.',
  );
  const reloads = series.counter(
    'certificate_reloads_total',
    'Changes of the certificate: used, or refused as unfit.',
    RELOAD_OUTCOMES.map((outcome) => ({ outcome })),
  );
  const observeCaBundle = (): ((isValid: boolean) => void) => {
    const bundleValid = series.gauge(
      'ca_bundle_valid',
      '1 while the caBundle of the webhook configuration is what it must be.',
    );
    return (isValid) => bundleValid.set(isValid ? 1 : 0);
  };
  return {
    countCertificateReload: (outcome) => reloads.inc({ outcome }),
    setValidity: (notBefore, notAfter) => {
      start.set(notBefore / 1000);
      end.set(notAfter / 1000);
    },
    observeCaBundle,
    observeManagedCertificates: () => createManagedObserver(series, observeCaBundle()),
  };
}

function createManagedObserver(series: Series, setBundleValid: (isValid: boolean) => void): CertificateObserver {
  const authorityEnd = series.gauge(
    'authority_not_after_timestamp_seconds',
    'End of validity of the managed authority that issues.',
  );
  const rotations = series.counter(
    'rotations_total',
    'Managed certificates that this replica has put into use.',
    ROTATIONS.map((kind) => ({ kind })),
  );
  const repairs = series.counter(
    'repairs_total',
    'Changes by others that this replica has reverted.',
    REPAIRED_OBJECTS.map((object) => ({ object })),
  );
  return {
    rotated: (kind) => rotations.inc({ kind }),
    repaired: (object) => repairs.inc({ object }),
    reconciled: ({ authorityEnd: end, isBundleValid }) => {
      setBundleValid(isBundleValid);
      if (end !== undefined) authorityEnd.set(end / 1000);
    },
  };
}

/** A cluster of webhook replicas whose time moves only when a test moves it, and whose API servers lag behind one another. */
import { X509Certificate } from 'node:crypto';
import { createReconciler, type Reconciler } from '../../src/certificates/managed/reconcile.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { parseCertificates } from '../../src/certificates/pem.js';
import { createLogger } from '../../src/log.js';
import { ROTATE_ANNOTATION } from '../../src/names.js';
import { addMs, type EpochMs, epochMs, formatTime, SECOND_MS } from '../../src/time.js';
import { type ClusterObjects, createClusterObjects, NAMESPACE } from './cluster-objects.js';
import { createFastCertificates } from './fast-certificates.js';

export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const START = epochMs(Date.parse('2026-03-01T00:00:00Z'));
export const SETTINGS = { caDays: 1825, leafDays: 90, overlapSeconds: 120 };
export const OVERLAP_MS = SETTINGS.overlapSeconds * SECOND_MS;
/** From one pass of a replica to the next. */
export const PASS_EVERY_MS = 3 * SECOND_MS;
const SOON_MS = 400;

export const fastCertificates = createFastCertificates();

interface Replica {
  readonly name: string;
  readonly reconciler: Reconciler;
  readonly events: string[];
  nextPass: EpochMs;
  /** It can't reach the API server, but the API server can reach it. */
  isCutOff: boolean;
}

export interface SimulatedCluster {
  readonly now: EpochMs;
  readonly objects: ClusterObjects;
  readonly replicas: Replica[];
  readonly log: string[];
  /** What `check` found wrong. */
  readonly violations: string[];
  /** The rotation that the Secret's annotation asks for. */
  readonly annotation: string | undefined;
  start(): Replica;
  stop(replica: Replica): void;
  /** Moves the time while replicas make their passes; checks before and after each pass. */
  run(spanMs: number, lagsMs?: readonly number[]): Promise<void>;
  jump(spanMs: number): void;
  /** Whether each ready replica's certificate is verified by the caBundle that lagging API servers have. */
  check(lagsMs: readonly number[]): void;
  /** The certificates in the caBundle. */
  bundle(): readonly string[];
  /** The certificate that each replica serves. */
  served(): readonly (string | undefined)[];
}

export function createSimulatedCluster(settings = SETTINGS): SimulatedCluster {
  let now = START;
  let started = 0;
  const objects = createClusterObjects(() => now);
  const replicas: Replica[] = [];
  const log: string[] = [];
  const violations: string[] = [];

  const start = (): Replica => {
    started += 1;
    const name = `webhook-${String(started)}`;
    const events: string[] = [];
    const { api } = objects;
    const reach = <T>(act: () => Promise<T>): Promise<T> =>
      replica.isCutOff ? Promise.reject(new Error('connect ETIMEDOUT')) : act();
    const reconciler = createReconciler({
      api: {
        get: (...args) => reach(() => api.get(...args)),
        put: (...args) => reach(() => api.put(...args)),
        patch: (...args) => reach(() => api.patch(...args)),
      },
      namespace: NAMESPACE,
      podName: name,
      settings,
      generateKeys: fastCertificates.generateKeys,
      now: () => now,
      log: createLogger(
        'info',
        (line) => log.push(`${name} ${line}`),
        () => now,
      ),
      observer: {
        rotated: (kind) => events.push(`rotated ${kind}`),
        repaired: (object) => events.push(`repaired ${object}`),
        reconciled: ({ isBundleValid }) => events.push(isBundleValid ? 'valid' : 'invalid'),
      },
      onChange: () => events.push('changed'),
      onRefusal: ({ message }) => events.push(`refused: ${message}`),
    });
    const replica: Replica = { name, reconciler, events, nextPass: now, isCutOff: false };
    replicas.push(replica);
    return replica;
  };

  const check = (lagsMs: readonly number[]): void => {
    for (const lagMs of lagsMs) {
      const bundle = objects.bundleAt(now - lagMs);
      for (const { name, reconciler } of replicas) {
        const pair = reconciler.current();
        if (!reconciler.isReady() || pair === undefined) continue;
        const prefix = `${formatTime(now)}, an API server ${String(lagMs / SECOND_MS)} s behind: ${name}`;
        if (!isVerified(pair.certificatePem, bundle)) violations.push(`${prefix} is not verified`);
        else if (endOf(pair) <= now) violations.push(`${prefix} serves an expired certificate`);
      }
    }
  };

  const run = async (spanMs: number, lagsMs: readonly number[] = []): Promise<void> => {
    const end = addMs(now, spanMs);
    for (;;) {
      const [replica] = [...replicas].sort((one, other) => one.nextPass - other.nextPass);
      if (replica === undefined || replica.nextPass > end) break;
      now = epochMs(Math.max(now, replica.nextPass));
      check(lagsMs);
      const { requeue } = await replica.reconciler.reconcile();
      replica.nextPass = addMs(now, requeue === 'soon' ? SOON_MS : PASS_EVERY_MS);
      check(lagsMs);
    }
    now = end;
    check(lagsMs);
  };

  return {
    get now() {
      return now;
    },
    get annotation() {
      return objects.secret?.metadata.annotations?.[ROTATE_ANNOTATION];
    },
    objects,
    replicas,
    log,
    violations,
    start,
    stop: (replica) => void replicas.splice(replicas.indexOf(replica), 1),
    run,
    jump: (spanMs) => {
      now = addMs(now, spanMs);
      for (const replica of replicas) replica.nextPass = epochMs(Math.max(replica.nextPass, now));
    },
    check,
    bundle: () => parseCertificates(objects.bundleAt(now)).certificates,
    served: () => replicas.map(({ reconciler }) => reconciler.current()?.certificatePem),
  };
}

/** A cluster in which every API server has had the first authority for long. */
export async function startSimulatedCluster(count: number, settings = SETTINGS): Promise<SimulatedCluster> {
  const cluster = createSimulatedCluster(settings);
  for (let index = 0; index < count; index += 1) cluster.start();
  await cluster.run(10 * SECOND_MS, [0, SECOND_MS]);
  cluster.jump(10 * MINUTE_MS);
  await cluster.run(PASS_EVERY_MS, [0, OVERLAP_MS]);
  return cluster;
}

const ends = new Map<string, EpochMs>();

/** Kept, because certificates are slow to parse. */
export function endOf({ certificatePem }: Pick<KeyedCertificate, 'certificatePem'>): EpochMs {
  const end = ends.get(certificatePem) ?? epochMs(Date.parse(new X509Certificate(certificatePem).validTo));
  ends.set(certificatePem, end);
  return end;
}

const verified = new Map<string, boolean>();

function isVerified(certificatePem: string, bundle: string): boolean {
  const key = certificatePem + bundle;
  let result = verified.get(key);
  if (result === undefined) {
    const certificate = new X509Certificate(certificatePem);
    const authorities = parseCertificates(bundle).certificates.map((pem) => new X509Certificate(pem));
    result = authorities.some(
      (authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
    );
    verified.set(key, result);
  }
  return result;
}

export function allSame(values: readonly unknown[]): boolean {
  return new Set(values).size === 1;
}

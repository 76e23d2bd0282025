/** A cluster of webhook replicas whose time stands still but where a test moves it, and whose API servers lag behind one another. */
import { X509Certificate } from 'node:crypto';
import { parseCertificates } from '../../src/certificates/managed/key-material.js';
import { createReconciler, type Reconciler } from '../../src/certificates/managed/reconcile.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { createLogger } from '../../src/log.js';
import { ROTATE_ANNOTATION } from '../../src/names.js';
import { type ClusterObjects, createClusterObjects, NAMESPACE } from './cluster-objects.js';
import { createQuickMaker } from './fast-certificates.js';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const START = Date.parse('2026-03-01T00:00:00Z');
export const SETTINGS = { caDays: 1825, leafDays: 90, overlapSeconds: 120 };
export const OVERLAP = SETTINGS.overlapSeconds * SECOND;
export const LOOK = 3 * SECOND;

export const maker = createQuickMaker();

export interface Replica {
  readonly name: string;
  readonly looks: Reconciler;
  readonly events: string[];
  nextLook: number;
  /** Cut off from the API server, and still reached by it. */
  isCutOff: boolean;
}

/** A cluster whose time stands still but in `run` and `jump`. */
export class World {
  now = START;
  readonly objects: ClusterObjects = createClusterObjects(() => this.now);
  readonly replicas: Replica[] = [];
  readonly log: string[] = [];
  /** What was seen to be wrong. */
  readonly violations: string[] = [];
  private names = 0;

  constructor(readonly settings = SETTINGS) {}

  start(): Replica {
    this.names += 1;
    const name = `webhook-${String(this.names)}`;
    const events: string[] = [];
    const { api } = this.objects;
    const reach = <T>(act: () => Promise<T>): Promise<T> =>
      replica.isCutOff ? Promise.reject(new Error('connect ETIMEDOUT')) : act();
    const looks = createReconciler({
      api: {
        get: (...args) => reach(() => api.get(...args)),
        put: (...args) => reach(() => api.put(...args)),
        patch: (...args) => reach(() => api.patch(...args)),
      },
      namespace: NAMESPACE,
      podName: name,
      settings: this.settings,
      maker,
      now: () => this.now,
      log: createLogger(
        'info',
        (line) => this.log.push(`${name} ${line}`),
        () => this.now,
      ),
      observer: {
        rotated: (kind) => events.push(`rotated ${kind}`),
        repaired: (object) => events.push(`repaired ${object}`),
        reconciled: ({ isBundleValid }) => events.push(isBundleValid ? 'valid' : 'invalid'),
      },
      onChange: () => events.push('changed'),
      onRefusal: ({ message }) => events.push(`refused: ${message}`),
    });
    const replica: Replica = { name, looks, events, nextLook: this.now, isCutOff: false };
    this.replicas.push(replica);
    return replica;
  }

  stop(replica: Replica): void {
    this.replicas.splice(this.replicas.indexOf(replica), 1);
  }

  /** Lets replicas look at their times; the checks are made before and after each look. */
  async run(milliseconds: number, lags: readonly number[] = []): Promise<void> {
    const end = this.now + milliseconds;
    for (;;) {
      const [replica] = [...this.replicas].sort((one, other) => one.nextLook - other.nextLook);
      if (replica === undefined || replica.nextLook > end) break;
      this.now = Math.max(this.now, replica.nextLook);
      this.check(lags);
      const outcome = await replica.looks.reconcile();
      replica.nextLook = this.now + (outcome === 'soon' ? 400 : LOOK);
      this.check(lags);
    }
    this.now = end;
    this.check(lags);
  }

  jump(milliseconds: number): void {
    this.now += milliseconds;
    for (const replica of this.replicas) replica.nextLook = Math.max(replica.nextLook, this.now);
  }

  /** Each ready replica's certificate is verified by the caBundle as API servers see it that lag behind by so much. */
  check(lags: readonly number[]): void {
    for (const lag of lags) {
      const bundle = this.objects.bundleAt(this.now - lag);
      for (const { name, looks } of this.replicas) {
        const pair = looks.current();
        if (!looks.isReady() || pair === undefined) continue;
        const at = `${new Date(this.now).toISOString()}, an API server ${String(lag / SECOND)} s behind: ${name}`;
        if (!isVerified(pair.certificatePem, bundle)) this.violations.push(`${at} is not verified`);
        else if (endOf(pair) <= this.now) this.violations.push(`${at} serves what has ended`);
      }
    }
  }

  bundle(): readonly string[] {
    return parseCertificates(this.objects.bundleAt(this.now)).certificates;
  }

  served(): readonly (string | undefined)[] {
    return this.replicas.map(({ looks }) => looks.current()?.certificatePem);
  }

  get annotation(): string | undefined {
    return this.objects.secret?.metadata.annotations?.[ROTATE_ANNOTATION];
  }
}

const ends = new Map<string, number>();

/** Certificates are slow to parse, and there are many looks. */
export function endOf({ certificatePem }: Pick<KeyedCertificate, 'certificatePem'>): number {
  const end = ends.get(certificatePem) ?? Date.parse(new X509Certificate(certificatePem).validTo);
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

export async function startWorld(count: number, settings = SETTINGS): Promise<World> {
  const world = new World(settings);
  for (let index = 0; index < count; index += 1) world.start();
  await world.run(10 * SECOND, [0, SECOND]);
  // So long that every API server has the first authority.
  world.jump(10 * MINUTE);
  await world.run(LOOK, [0, OVERLAP]);
  return world;
}

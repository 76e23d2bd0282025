/**
 * One replica as the pure functions describe it, without an API server: the objects are values, a pass is a sequence of
 * calls. It keeps its own record of what was observed, and of what may be served.
 */
import { execute } from '../../../src/certificates/managed/actions.js';
import type { KeyMaterial, Leaf } from '../../../src/certificates/managed/key-material.js';
import { type Action, type ObservedSecret, plan } from '../../../src/certificates/managed/plan.js';
import {
  adopt,
  findPause,
  INITIAL_STATE,
  isBundleAsPlanned,
  observe,
  type ObservedConfiguration,
  planBundle,
  type ReconcilerState,
  recordFailedWrite,
  recordWrite,
  serve,
} from '../../../src/certificates/managed/state.js';
import type { Configuration } from '../../../src/certificates/webhook-configuration.js';
import { addMs, DAY_MS, type EpochMs, epochMs } from '../../../src/time.js';
import { fastCertificates, OVERLAP_MS, SETTINGS, START } from '../simulated-cluster.js';

const FIRST_USE_MS = 2000;
const MAX_GAP_MS = 30_000;

/** What goes wrong in a pass. */
export type Fault =
  'none' | 'configuration unreadable' | 'configuration absent' | 'secret unreadable' | 'write lost' | 'write refused';

type Bundle = Pick<Configuration, 'certificates' | 'isClean'>;

export interface ReplicaModel {
  state: ReconcilerState;
  secret: ObservedSecret;
  bundle: Bundle;
  /** Key material that was in the Secret earlier. */
  readonly backups: KeyMaterial[];
  wait(spanMs: number): void;
  /** Others replace the Secret's key material, and are responsible for what was served before. */
  replaceSecret(material: KeyMaterial): void;
  /** Another replica starts in place of this one, and remembers nothing. */
  restart(): void;
  /** @returns what was planned; undefined where nothing could be. */
  pass(fault: Fault): Promise<Action | undefined>;
  /** Whether the caBundle is what this replica wants. */
  isBundleAsPlanned(): boolean;
}

export function createReplicaModel(): ReplicaModel {
  const record = createRecord();
  let now = START;

  const update = (next: ReconcilerState): void => {
    const { served } = model.state;
    model.state = next;
    if (next.served !== undefined && next.served !== served) record.serve(served, next.served, now);
  };
  const describeConfiguration = (): Configuration => {
    return { uid: 'uid', resourceVersion: '1', caBundle: model.bundle.certificates.join(''), ...model.bundle };
  };
  const readConfiguration = (fault: Fault): ObservedConfiguration => {
    if (fault === 'configuration unreadable') return undefined;
    if (fault === 'configuration absent') return 'absent';
    record.read(model.bundle.certificates, now);
    return describeConfiguration();
  };

  const act = async (action: Action, fault: Fault): Promise<KeyMaterial | 'lost' | undefined> => {
    const { generateKeys } = fastCertificates;
    const options = { generateKeys, settings: SETTINGS, dnsNames: ['webhook.test.svc'], now: () => now };
    const material = await execute(action, options);
    if (material === undefined) return undefined;
    if (action.do === 'promote') update(serve(model.state, material.leaf));
    if (fault === 'write refused') {
      update(recordFailedWrite(model.state, new Error('forbidden'), now));
      return undefined;
    }
    const outcome = fault === 'write lost' ? 'lost' : material;
    update(recordWrite(model.state, action, outcome, now));
    if (outcome === 'lost') return 'lost';
    const rotate = model.secret.state === 'valid' && action.do !== 'promote' ? model.secret.rotate : undefined;
    model.secret = { state: 'valid', material, rotate, isOwned: true };
    return material;
  };

  const actOnSecret = async (action: Action | undefined, fault: Fault): Promise<KeyMaterial | 'lost' | undefined> => {
    const stored = action !== undefined && model.secret.state === 'valid' ? model.secret.material : undefined;
    if (action === undefined || findPause(model.state, action, now) !== undefined) return stored;
    return (await act(action, fault)) ?? stored;
  };

  const repair = (configuration: Configuration, isCurrent: boolean): void => {
    const planned = planBundle(model.state, configuration.certificates, isCurrent, now);
    if (planned === undefined) return;
    record.publish(planned);
    model.bundle = { certificates: planned, isClean: true };
  };

  const model: ReplicaModel = {
    state: INITIAL_STATE,
    secret: { state: 'absent' },
    bundle: { certificates: [], isClean: true },
    backups: [],
    wait: (spanMs) => {
      now = addMs(now, spanMs);
      record.expire(now);
    },
    replaceSecret: (material) => {
      model.secret = { state: 'valid', material, rotate: undefined, isOwned: true };
      record.forget(model.state.served);
    },
    restart: () => {
      model.state = INITIAL_STATE;
      record.forget(undefined);
    },
    pass: async (fault) => {
      const configuration = readConfiguration(fault);
      const secret = fault === 'secret unreadable' ? undefined : model.secret;
      update(observe(model.state, configuration, secret, now));
      const action = secret && plan({ ...model.state, secret, settings: SETTINGS, now });
      const outcome = await actOnSecret(action, fault);
      const material = outcome === 'lost' ? undefined : outcome;
      update(adopt(model.state, material, SETTINGS, now));
      if (material !== undefined) record.use(material.leaf, now);
      if (typeof configuration === 'object' && outcome !== 'lost') repair(configuration, material !== undefined);
      return action;
    },
    isBundleAsPlanned: () => {
      const planned = planBundle(model.state, model.bundle.certificates, model.secret.state === 'valid', now);
      return planned !== undefined && isBundleAsPlanned(describeConfiguration(), planned);
    },
  };
  return model;
}

/** No certificate counts for longer than one that is issued now, whatever it says, and also after the clock was set back. */
function limit(end: EpochMs, now: EpochMs): EpochMs {
  return epochMs(Math.min(end, addMs(now, SETTINGS.leafDays * DAY_MS)));
}

/** What was observed and what may be served, kept apart from the state that is tested; throws at a violation. */
interface PassRecord {
  read(certificates: readonly string[], now: EpochMs): void;
  use(leaf: Leaf, now: EpochMs): void;
  serve(before: Leaf | undefined, leaf: Leaf, now: EpochMs): void;
  publish(bundle: readonly string[]): void;
  expire(now: EpochMs): void;
  /** All but this certificate. */
  forget(served: Leaf | undefined): void;
}

function createRecord(): PassRecord {
  /** The caBundle as it was read, newest last. */
  const reads: { readonly at: EpochMs; readonly certificates: readonly string[] }[] = [];
  /** Certificates in use in the Secret at some time, or served by this replica, that have not expired yet. */
  let mayBeServed: { readonly leaf: Leaf; readonly until: EpochMs }[] = [];

  const use = (leaf: Leaf, now: EpochMs): void => {
    if (leaf.notAfter > now) mayBeServed.push({ leaf, until: limit(leaf.notAfter, now) });
  };

  /** Since the oldest of the last reads without a gap that all held the leaf's authority; -1 where the last did not. */
  const knownForMs = ({ authorityPem }: Leaf, now: EpochMs): number => {
    let since: EpochMs | undefined;
    let later = now;
    for (const { at, certificates } of [...reads].reverse()) {
      const gapMs = later - at;
      const isContinuous = gapMs >= 0 && (since === undefined || gapMs <= MAX_GAP_MS);
      if (!isContinuous || !certificates.includes(authorityPem)) break;
      since = later = at;
    }
    return since === undefined ? -1 : now - since;
  };

  return {
    read: (certificates, at) => void reads.push({ at, certificates }),
    use,
    serve: (before, leaf, now) => {
      use(leaf, now);
      if (before === undefined || before.notAfter <= now) return;
      const isInBundle = reads.at(-1)?.certificates.includes(before.authorityPem) === true;
      const isVerified = isInBundle && before.notBefore <= now;
      const needsMs = isVerified ? OVERLAP_MS : FIRST_USE_MS;
      const knownMs = knownForMs(leaf, now);
      if (knownMs < needsMs) throw new Error(`served ${knownMs} ms after its authority was observed, not ${needsMs}`);
    },
    publish: (bundle) => {
      if (mayBeServed.every(({ leaf }) => bundle.includes(leaf.authorityPem))) return;
      throw new Error('an authority leaves the caBundle while a certificate of it may be served');
    },
    expire: (now) => {
      mayBeServed = mayBeServed
        .map(({ leaf, until }) => ({ leaf, until: limit(until, now) }))
        .filter(({ until }) => until > now);
    },
    forget: (served) => (mayBeServed = mayBeServed.filter(({ leaf }) => leaf === served)),
  };
}

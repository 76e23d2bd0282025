/** One pass of the reconciler: read both objects, plan, act on the Secret, repair the caBundle. */
import { ProductError } from '../../errors.js';
import type { ObjectsApi } from '../../kubernetes/client.js';
import type { Logger } from '../../log.js';
import { ROTATE_ANNOTATION, WEBHOOK_NAME, webhookHost } from '../../names.js';
import type { Now } from '../../time.js';
import { quote } from '../../values/text.js';
import type { GenerateKeys } from '../authority.js';
import type { KeyedCertificate } from '../pair.js';
import { createProblemLog, type ProblemLog } from '../problem-log.js';
import { type CaBundle, type Configuration, createCaBundle } from '../webhook-configuration.js';
import { execute } from './actions.js';
import type { KeyMaterial } from './key-material.js';
import { type Action, plan, type RotationSettings } from './plan.js';
import { type CertificateObserver, createRotationReport, describeDamage, reportWrite } from './report.js';
import { createSecretStore, type SecretRead, type SecretStore } from './secret-store.js';
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
} from './state.js';

export interface ReconcilerOptions {
  readonly api: ObjectsApi;
  /** Where the webhook and its Secret are. */
  readonly namespace: string;
  readonly podName: string;
  readonly settings: RotationSettings;
  readonly generateKeys: GenerateKeys;
  readonly now: Now;
  readonly log: Logger;
  readonly observer?: CertificateObserver;
  readonly onChange: (pair: KeyedCertificate) => void;
  /** The Secret can't be used any more; what is served stays. */
  readonly onRefusal: (error: ProductError) => void;
}

export interface Reconciler {
  /**
   * Never rejects: a problem is logged once, when it begins or changes.
   * @returns `soon` while something is under way, so that the next pass should come soon.
   */
  reconcile(): Promise<{ readonly requeue: 'soon' | 'later' }>;
  /** Undefined until the first. */
  current(): KeyedCertificate | undefined;
  /** Whether API servers could verify what is served, at some time. */
  isReady(): boolean;
  /** The caBundle as it was last read, PEM; undefined where it never was. */
  caBundle(): string | undefined;
}

/** What a pass needs; the state is the only thing that changes. */
interface Context extends Omit<ReconcilerOptions, 'api' | 'podName' | 'namespace'> {
  readonly configurationObject: CaBundle;
  readonly store: SecretStore;
  readonly problems: ProblemLog;
  readonly reportRotation: ReturnType<typeof createRotationReport>;
  readonly dnsNames: readonly string[];
  readonly state: () => ReconcilerState;
  readonly update: (next: ReconcilerState) => void;
}

/** Both objects as they were just read; undefined where they could not be. */
interface Reading {
  readonly configuration: ObservedConfiguration;
  readonly secret: SecretRead | undefined;
}

type Outcome = KeyMaterial | 'lost' | undefined;

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const context = createContext(options);
  const { problems, settings, now, observer, state, update } = context;

  const reconcile: Reconciler['reconcile'] = async () => {
    const reading = await read(context);
    const { secret } = reading;
    observeReading(context, reading);
    const outcome =
      secret && (await problems.attempt('write', async () => act(context, planNext(context, secret), reading, secret)));
    const material = outcome === 'lost' ? undefined : (outcome ?? findMaterial(secret));
    update(adopt(state(), material, settings, now()));
    if (outcome !== 'lost') await repair(context, reading, material !== undefined);
    const { isBundleValid, isReady, lastGood } = state();
    observer?.reconciled({ isBundleValid, authorityEnd: lastGood?.authority.notAfter });
    return { requeue: outcome !== undefined || !isReady ? 'soon' : 'later' };
  };

  return {
    reconcile,
    current: () => state().served,
    isReady: () => state().isReady,
    caBundle: () => state().caBundle,
  };
}

function createContext({ api, namespace, podName, ...options }: ReconcilerOptions): Context {
  const host = webhookHost(namespace);
  let state = INITIAL_STATE;
  return {
    ...options,
    configurationObject: createCaBundle(api),
    store: createSecretStore({ api, namespace, podName, dnsName: host }),
    problems: createProblemLog(options.log),
    reportRotation: createRotationReport(options.log, options.settings.overlapSeconds),
    dnsNames: [host, `${host}.cluster.local`, `${WEBHOOK_NAME}.${namespace}`],
    state: () => state,
    update: (next) => {
      const before = state.served;
      state = next;
      if (next.served !== undefined && next.served !== before) options.onChange(next.served);
    },
  };
}

/**
 * The caBundle is read before the Secret, and a replica that adds an authority writes the Secret first. So the Secret is
 * never older than the caBundle, and no caBundle from before a rotation is restored.
 */
async function read({ configurationObject, store, problems, reportRotation }: Context): Promise<Reading> {
  const configuration = await problems.attempt(
    'configuration',
    async () => (await configurationObject.read()) ?? 'absent',
  );
  if (configuration !== undefined) {
    const fix = 'it belongs to the chart: run helm upgrade again';
    const isAbsent = configuration === 'absent';
    problems.set('absent', isAbsent ? `there is no MutatingWebhookConfiguration ${WEBHOOK_NAME}; ${fix}` : undefined);
  }
  const secret = await problems.attempt('secret', () => store.read(findOwner(configuration)));
  if (secret !== undefined) {
    const { ownerProblem, unknownRotation: value, observed } = secret;
    if (observed.state === 'valid') reportRotation(observed.rotate);
    problems.set('owner', ownerProblem);
    const rotation = `the annotation ${ROTATE_ANNOTATION} of ${store.name} is ${quote(value ?? '')}; set it to leaf or ca`;
    problems.set('rotate', value === undefined ? undefined : rotation);
  }
  return { configuration, secret };
}

function observeReading(context: Context, { configuration, secret }: Reading): void {
  const { state, update, now, store, onRefusal } = context;
  const wasBroken = state().brokenSince !== undefined;
  update(observe(state(), configuration, secret?.observed, now()));
  const { brokenSince, served } = state();
  if (secret === undefined || wasBroken || brokenSince === undefined || served === undefined) return;
  onRefusal(new ProductError('certificate', `${store.name} ${describeDamage(secret.observed)}`));
}

/** @throws the error of the last write, where the action makes keys and it is too soon to make them again. */
function planNext({ state, settings, now }: Context, { observed }: SecretRead): Action {
  const action = plan({ ...state(), secret: observed, settings, now: now() });
  const pause = findPause(state(), action, now());
  if (pause !== undefined) throw pause;
  return action;
}

/** @returns what was written to the Secret; undefined for nothing. */
async function act(context: Context, action: Action, { configuration }: Reading, secret: SecretRead): Promise<Outcome> {
  const { store, state, update, now, log, observer } = context;
  const material = await execute(action, context);
  if (material === undefined) return undefined;
  const isPromotion = action.do === 'promote';
  if (isPromotion) update(serve(state(), material.leaf));
  const write = store.write(secret, material, findOwner(configuration), isPromotion);
  const answer = await write.catch((error: unknown) => {
    if (error instanceof Error) update(recordFailedWrite(state(), error, now()));
    throw error;
  });
  const outcome = answer === 'lost' ? 'lost' : material;
  update(recordWrite(state(), action, outcome, now()));
  if (outcome === 'lost') return 'lost';
  reportWrite({ action, material, secret: secret.observed, secretName: store.name }, log, observer);
  return outcome;
}

/** @param isCurrent whether this replica knows what is in the Secret now. */
async function repair(context: Context, { configuration }: Reading, isCurrent: boolean): Promise<void> {
  const { problems, state, update } = context;
  if (configuration === undefined || configuration === 'absent') return;
  const isBundleValid = await problems.attempt('ca-bundle', () => repairBundle(context, configuration, isCurrent));
  update({ ...state(), isBundleValid: isBundleValid ?? false });
}

/** @returns whether the caBundle was what it should be when it was read. */
async function repairBundle(context: Context, configuration: Configuration, isCurrent: boolean): Promise<boolean> {
  const { configurationObject, state, now, log, observer } = context;
  const { certificates } = configuration;
  const planned = planBundle(state(), certificates, isCurrent, now());
  if (planned === undefined) return false;
  if (isBundleAsPlanned(configuration, planned)) return true;
  const written = await configurationObject.write(configuration, planned.join(''));
  const { isReady, served } = state();
  if (written === 'written' && isReady && served !== undefined && !certificates.includes(served.authorityPem)) {
    observer?.repaired('ca-bundle');
    log.warn('the caBundle of the webhook configuration was changed by others and has been restored');
  }
  return false;
}

function findOwner(configuration: ObservedConfiguration): Configuration | undefined {
  return configuration === 'absent' ? undefined : configuration;
}

function findMaterial(secret: SecretRead | undefined): KeyMaterial | undefined {
  return secret?.observed.state === 'valid' ? secret.observed.material : undefined;
}

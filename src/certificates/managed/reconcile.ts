/**
 * One look at the caBundle and at the Secret, and at most one step forward (`plan.ts` says which); the caBundle is put
 * back where it is not what it should be.
 */
import { ProductError } from '../../errors.js';
import type { ObjectsApi } from '../../kubernetes/client.js';
import type { Logger } from '../../log.js';
import { WEBHOOK_NAME, webhookHost } from '../../names.js';
import type { KeyedCertificate } from '../pair.js';
import { createProblemLog } from '../problem-log.js';
import { type Configuration, createCaBundle } from '../webhook-configuration.js';
import { type CertificateMaker, execute, needsKeys } from './actions.js';
import { type KeyMaterial, type Leaf, listAuthorities } from './key-material.js';
import type { Action, ObservedBundle, PlanInput, RotationSettings } from './plan.js';
import { chooseLeaf, FIRST_USE_MS, observeBundle, plan, trustedForMs } from './plan.js';
import { createSecretStore, type SecretRead } from './secret-store.js';

/** What of it becomes metrics. */
export interface CertificateObserver {
  /** This replica put a new certificate into use, from a new authority (`ca`) or the same (`leaf`). */
  rotated(kind: 'leaf' | 'ca'): void;
  /** Something that others had undone was put back. */
  repaired(object: 'secret' | 'ca-bundle'): void;
  /** After each look. */
  reconciled(status: ManagedStatus): void;
}

export interface ManagedStatus {
  /** End of the certificate that is served, milliseconds since 1970; undefined until there is one. */
  readonly leafEnd?: number;
  /** End of the authority that issues. */
  readonly authorityEnd?: number;
  /** Whether the caBundle was what it should be when it was last read. */
  readonly isBundleValid: boolean;
}

export interface ReconcilerOptions {
  readonly api: ObjectsApi;
  /** Where the webhook and its Secret are. */
  readonly namespace: string;
  readonly podName: string;
  readonly settings: RotationSettings;
  readonly maker: CertificateMaker;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Logger;
  readonly observer?: CertificateObserver;
  readonly onChange: (pair: KeyedCertificate) => void;
  /** The Secret can't be used any more; what is served stays. */
  readonly onRefusal: (error: ProductError) => void;
}

export interface Reconciler {
  /**
   * Never rejects: what goes wrong is logged, once for each change.
   * @returns whether something has changed, so that the next look should come soon.
   */
  reconcile(): Promise<'soon' | 'later'>;
  /** Undefined until the first. */
  current(): KeyedCertificate | undefined;
  /** Whether API servers could verify what is served, once. */
  isReady(): boolean;
  /** The caBundle as it was last read, PEM; undefined where it never was. */
  caBundle(): string | undefined;
}

/** After keys were made for nothing, the write being refused, none are made for so long. */
const KEYS_PAUSE_MS = 60_000;

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { api, namespace, podName, settings, maker, now, log, observer } = options;
  const host = webhookHost(namespace);
  const dnsNames = [host, `${host}.cluster.local`, `${WEBHOOK_NAME}.${namespace}`];
  const store = createSecretStore({ api, namespace, podName, dnsName: host });
  const caBundleObject = createCaBundle(api);
  const problems = createProblemLog(log);

  let lastGood: KeyMaterial | undefined;
  let served: Leaf | undefined;
  let nextObserved: PlanInput['nextObserved'];
  let brokenSince: number | undefined;
  let observed: ObservedBundle = { since: new Map(), readAt: 0 };
  let bundle: readonly string[] | undefined;
  let caBundle: string | undefined;
  let isBundleValid = false;
  let isReady = false;
  let refusal: { readonly error: Error; readonly until: number } | undefined;

  const readConfiguration = async (): Promise<Configuration> => {
    bundle = undefined;
    const configuration = await caBundleObject.read();
    if (configuration === undefined) {
      isBundleValid = false;
      const mend = 'it belongs to the chart: run helm upgrade again';
      throw new ProductError('kubernetes-api', `there is no MutatingWebhookConfiguration ${WEBHOOK_NAME}; ${mend}`);
    }
    ({ caBundle, certificates: bundle } = configuration);
    observed = observeBundle(observed, bundle, now());
    return configuration;
  };

  const readSecret = async (configuration: Configuration | undefined): Promise<SecretRead> => {
    const secret = await store.read(configuration);
    const { view, unknownRotation: value } = secret;
    problems.set('owner', secret.ownerProblem);
    problems.set('rotate', value && `the annotation rotate of ${store.name} is "${value}"; it takes leaf or ca`);
    if (view.state === 'sound') {
      brokenSince = undefined;
      know(view.holding, false);
    } else if (brokenSince === undefined) {
      brokenSince = now();
      if (served !== undefined) options.onRefusal(new ProductError('certificate', `${store.name} ${describe(secret)}`));
    }
    return secret;
  };

  const know = ({ next }: KeyMaterial, isIssuedHere: boolean): void => {
    if (next === undefined || next.certificatePem === nextObserved?.certificatePem) return;
    nextObserved = { certificatePem: next.certificatePem, since: now(), isIssuedHere };
  };

  const serve = (leaf: Leaf): void => {
    if (leaf.certificatePem === served?.certificatePem) return;
    served = leaf;
    options.onChange(leaf);
  };

  /** @returns what was written to the Secret, undefined for nothing. */
  const stepForward = async (
    secret: SecretRead,
    configuration?: Configuration,
  ): Promise<KeyMaterial | 'lost' | undefined> => {
    const view = { now: now(), settings, secret: secret.view, observed };
    const step = plan({ ...view, ...dropUndefined({ lastGood, served, bundle, nextObserved, brokenSince }) });
    if (refusal !== undefined && needsKeys(step) && now() < refusal.until) throw refusal.error;
    // Created without its owner, the Secret would outlive `helm uninstall`.
    if (secret.view.state === 'absent' && configuration === undefined) return undefined;
    const holding = await execute(step, { maker, settings, dnsNames, now });
    if (holding === undefined) return undefined;
    if (step.do === 'promote') serve(holding.leaf);
    const written = await store.write(secret, holding, configuration, step.do === 'promote').catch((error: unknown) => {
      if (error instanceof Error) refusal = { error, until: now() + KEYS_PAUSE_MS };
      throw error;
    });
    refusal = undefined;
    if (written === 'lost') return 'lost';
    if (needsKeys(step)) know(holding, true);
    tell(step, secret, holding);
    return holding;
  };

  const tell = (step: Action, secret: SecretRead, holding: KeyMaterial): void => {
    const { length } = holding.retiring;
    if (step.do === 'promote') {
      const kind = step.holding.leaf.authorityPem === holding.leaf.authorityPem ? 'leaf' : 'ca';
      observer?.rotated(kind);
      log.info('a new certificate is in use', { rotation: kind, until: new Date(holding.leaf.end).toISOString() });
    } else if (step.do === 'issue' || step.do === 'replace') {
      log.info('a new certificate was issued; it is used once API servers can verify it', {
        newAuthority: step.do === 'replace',
      });
    } else if (step.do === 'make' && secret.view.state === 'absent' && length === 0) {
      log.info('the first certificates were made', { secret: store.name });
    } else if (step.do === 'make' || (step.do === 'write' && (step.why === 'restore' || step.why === 'keep'))) {
      observer?.repaired('secret');
      log.warn(`${store.name} was repaired`, { it: describe(secret) });
    }
  };

  /** @returns whether the caBundle was in step when it was read. */
  const mendBundle = async (configuration: Configuration, holding: KeyMaterial | undefined): Promise<boolean> => {
    const own = holding ?? lastGood;
    if (own === undefined) return false;
    const { certificates, isClean } = configuration;
    // Without a sound Secret at hand nothing is taken away: other replicas may have added to it.
    const authorities = [...listAuthorities(own), ...(holding === undefined ? certificates : [])];
    // What is served must stay verifiable, whatever stands in the Secret now.
    if (served !== undefined && served.end > now()) authorities.push(served.authorityPem);
    const wanted = [...new Set(authorities)];
    const isValid =
      isClean && wanted.length === certificates.length && wanted.every((pem) => certificates.includes(pem));
    if (isValid) return true;
    const written = await caBundleObject.write(configuration, wanted.join(''));
    if (written === 'written' && isReady && served !== undefined && !certificates.includes(served.authorityPem)) {
      observer?.repaired('ca-bundle');
      log.warn('the caBundle of the webhook configuration was undone, and has been put back');
    }
    return false;
  };

  const reconcile = async (): Promise<'soon' | 'later'> => {
    // In this order: whoever adds an authority writes the Secret first. So a Secret that is read after the caBundle is
    // never older, and the caBundle is never put back to what it was before.
    const configuration = await problems.attempt('configuration', readConfiguration);
    const secret = await problems.attempt('secret', () => readSecret(configuration));
    const written = secret && (await problems.attempt('write', () => stepForward(secret, configuration)));
    const standing = secret?.view.state === 'sound' ? secret.view.holding : undefined;
    const holding = written === 'lost' ? undefined : (written ?? standing);
    if (holding !== undefined) {
      lastGood = holding;
      serve(chooseLeaf({ now: now(), settings, observed: observed, ...dropUndefined({ bundle, served }) }, holding));
    }
    const view = { now: now(), observed, ...dropUndefined({ bundle }) };
    isReady ||= served !== undefined && trustedForMs(view, served) >= FIRST_USE_MS;
    if (configuration !== undefined && written !== 'lost') {
      isBundleValid = (await problems.attempt('ca-bundle', () => mendBundle(configuration, holding))) ?? false;
    }
    observer?.reconciled({
      isBundleValid,
      ...(served !== undefined && { leafEnd: served.end }),
      ...(lastGood !== undefined && { authorityEnd: lastGood.authority.end }),
    });
    return written !== undefined || !isReady ? 'soon' : 'later';
  };

  return { reconcile: reconcile, current: () => served, isReady: () => isReady, caBundle: () => caBundle };
}

/** How the Secret was found, as the end of a sentence about it. */
function describe({ view }: SecretRead): string {
  switch (view.state) {
    case 'absent':
      return 'was deleted';
    case 'damaged':
      return `was damaged: ${view.parts.problems.join('; ')}`;
    case 'sound':
      return 'was replaced with other certificates';
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function dropUndefined<T extends object>(record: T): Defined<T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Defined<T>;
}

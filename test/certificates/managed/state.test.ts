/** Invariants of the pure transitions after any sequence of events, without an API server. */
import fc from 'fast-check';
import t from 'tap';
import { execute } from '../../../src/certificates/managed/actions.js';
import {
  type KeyMaterial,
  limitRetiring,
  type PartialKeyMaterial,
} from '../../../src/certificates/managed/key-material.js';
import type { Action, ValidSecret } from '../../../src/certificates/managed/plan.js';
import { addMs, DAY_MS, SECOND_MS } from '../../../src/time.js';
import { fastCertificates, PASS_EVERY_MS, SETTINGS, START } from '../simulated-cluster.js';
import { createReplicaModel, type Fault, type ReplicaModel } from './replica-model.js';

/** Sequences of events that the property tries; a soak sets more. */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 150);
/** More than the overlap and the head start of the replica that issued, twice. */
const MAX_PASSES_TO_REST = 150;

const FAULTS = [
  'none',
  'configuration unreadable',
  'configuration absent',
  'secret unreadable',
  'write lost',
  'write refused',
] as const satisfies readonly Fault[];

async function makeOther(settings = SETTINGS, now = START): Promise<KeyMaterial> {
  const { generateKeys } = fastCertificates;
  const options = { generateKeys, settings, dnsNames: ['webhook.test.svc'], now: () => now };
  const material = await execute({ do: 'make', authority: undefined, leaf: undefined, retiring: [] }, options);
  if (material === undefined) throw new Error('nothing was made');
  return material;
}
const other = await makeOther();
/** Sound, but for the time. */
const ahead = await makeOther(SETTINGS, addMs(START, 50 * DAY_MS));
const longLived = await makeOther({ ...SETTINGS, caDays: 36_500, leafDays: 36_500 });

/** What others do to the two objects between passes. */
const CHANGES = {
  'caBundle emptied': (model: ReplicaModel) => setBundle(model, []),
  'caBundle with other text': (model: ReplicaModel) => (model.bundle = { ...model.bundle, isClean: false }),
  'caBundle lacks an authority': (model: ReplicaModel) => setBundle(model, model.bundle.certificates.slice(1)),
  'caBundle with another authority': (model: ReplicaModel) =>
    setBundle(model, [...new Set([...model.bundle.certificates, other.authority.certificatePem])]),
  'Secret deleted': (model: ReplicaModel) => (model.secret = { state: 'absent' }),
  'Secret emptied': (model: ReplicaModel) => (model.secret = { state: 'damaged', partial: NOTHING_LEFT }),
  'Secret without the key of its authority': (model: ReplicaModel) => {
    if (model.secret.state !== 'valid') return;
    const { authority, ...rest } = model.secret.material;
    const authorities = [authority.certificatePem, ...rest.retiring.map(({ certificatePem }) => certificatePem)];
    model.secret = { state: 'damaged', partial: { ...NOTHING_LEFT, ...rest, authorities } };
  },
  'Secret of another installation': (model: ReplicaModel) => model.replaceSecret(other),
  'Secret from a clock that is ahead': (model: ReplicaModel) => model.replaceSecret(ahead),
  'Secret with a certificate for a hundred years': (model: ReplicaModel) => model.replaceSecret(longLived),
  'Secret with forged times': (model: ReplicaModel) => {
    if (model.secret.state !== 'valid') return;
    const { material } = model.secret;
    const forged = [other, ahead].map(({ authority }) => ({ ...authority, until: addMs(START, 36_500 * DAY_MS) }));
    const retiring = limitRetiring([...material.retiring, ...forged]);
    model.secret = { ...model.secret, material: { ...material, retiring } };
  },
  'Secret from a backup': (model: ReplicaModel) => {
    const [backup] = model.backups;
    if (backup !== undefined) model.replaceSecret(backup);
  },
  'Secret backed up': ({ secret, backups }: ReplicaModel) => {
    if (secret.state === 'valid') backups.unshift(secret.material);
  },
  'Secret owned by others': (model: ReplicaModel) => changeSecret(model, { isOwned: false }),
  'rotation of the leaf': (model: ReplicaModel) => changeSecret(model, { rotate: 'leaf' }),
  'rotation of the authority': (model: ReplicaModel) => changeSecret(model, { rotate: 'ca' }),
  'replica restarted': (model: ReplicaModel) => model.restart(),
};
const CHANGE_NAMES = Object.keys(CHANGES) as (keyof typeof CHANGES)[];

const NOTHING_LEFT: PartialKeyMaterial = {
  authority: undefined,
  leaf: undefined,
  next: undefined,
  retiring: [],
  authorities: [],
  problems: ['nothing is left'],
};

function setBundle(model: ReplicaModel, certificates: readonly string[]): void {
  model.bundle = { certificates, isClean: true };
}

function changeSecret(model: ReplicaModel, change: Partial<Pick<ValidSecret, 'rotate' | 'isOwned'>>): void {
  if (model.secret.state === 'valid') model.secret = { ...model.secret, ...change };
}

const arbitraryEvent = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), count: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fault' as const), fault: fc.constantFrom(...FAULTS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('gap' as const), seconds: fc.integer({ min: 1, max: 600 }) }) },
  // Backwards too: someone sets the clock.
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), days: fc.integer({ min: -2, max: 40 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      change: fc.constantFrom(...CHANGE_NAMES),
      // How the next pass goes; without one there is another event before it.
      fault: fc.option(fc.constantFrom(...FAULTS)),
    }),
  },
);
type Event = typeof arbitraryEvent extends fc.Arbitrary<infer T> ? T : never;

const change = (name: keyof typeof CHANGES, fault: Fault | null = null): Event => ({
  do: 'change',
  change: name,
  fault,
});

/** Sequences that broke an invariant once. */
const FOUND_BEFORE: readonly Event[][] = [
  // The clock is set back while the Secret is broken.
  [change('Secret emptied', 'none'), { do: 'jump', days: -1 }, change('caBundle emptied')],
  // The authority of what was served could not be kept in the Secret.
  [
    change('caBundle with another authority', 'none'),
    { do: 'pass', count: 39 },
    change('Secret of another installation', 'write refused'),
    { do: 'pass', count: 1 },
  ],
  // The Secret's certificate is expired, the one that is served is not.
  [
    { do: 'jump', days: 30 },
    { do: 'pass', count: 1 },
    change('Secret of another installation'),
    { do: 'jump', days: 60 },
    change('caBundle emptied'),
  ],
];

async function pass(model: ReplicaModel, fault: Fault): Promise<Action | undefined> {
  model.wait(PASS_EVERY_MS);
  return model.pass(fault);
}

async function apply(model: ReplicaModel, event: Event): Promise<void> {
  switch (event.do) {
    case 'pass':
      for (let count = 0; count < event.count; count += 1) await pass(model, 'none');
      return;
    case 'fault':
      await pass(model, event.fault);
      return;
    case 'gap':
      model.wait(event.seconds * SECOND_MS);
      return;
    case 'jump':
      model.wait(event.days * DAY_MS);
      return;
    case 'change':
      CHANGES[event.change](model);
      if (event.fault !== null) await pass(model, event.fault);
  }
}

/** Passes until there is nothing to do, and then for a while. */
async function rest(model: ReplicaModel): Promise<void> {
  const isAtRest = async (): Promise<boolean> => (await pass(model, 'none'))?.do === 'nothing';
  let passes = 0;
  while (!(await isAtRest()) || !isSettled(model)) {
    passes += 1;
    if (passes > MAX_PASSES_TO_REST) throw new Error('it does not come to rest');
  }
  for (let count = 0; count < 20; count += 1) {
    if (!(await isAtRest())) throw new Error('there is something to do without a change');
  }
}

/** What is in use in the Secret is served and can be verified, and no certificate waits. */
function isSettled(model: ReplicaModel): boolean {
  const { secret, state } = model;
  if (secret.state !== 'valid' || secret.material.next !== undefined || secret.rotate !== undefined) return false;
  return (
    state.isReady && model.isBundleAsPlanned() && state.served?.certificatePem === secret.material.leaf.certificatePem
  );
}

void t.test('the invariants hold after any events, and then it comes to rest', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryEvent, { minLength: 1, maxLength: 25 }), async (events) => {
      const model = createReplicaModel();
      for (const event of events) await apply(model, event);
      await rest(model);
    }),
    { numRuns: RUNS, examples: FOUND_BEFORE.map((events) => [events]), includeErrorInReport: true },
  );
});

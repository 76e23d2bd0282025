/** The door of injection: everything that other folders may import from here. PURE. */
export { readResources } from './annotations.js';
export { applyOperations, splitPointer } from './apply.js';
export { describePod } from './candidate.js';
export {
  hasIdentity,
  type Injected,
  type InjectInput,
  injectPod,
  keepAnnotations,
  type Outcome,
  type ServiceAccountLookup,
  serviceAccountOf,
} from './inject-pod.js';
export { type Operation, pointer } from './patch.js';
export * from './reasons.js';
export { type Defaults, STANDARD_DEFAULTS } from './settings.js';
export type { Status } from './status-annotation.js';
export { uninjectPod } from './uninject.js';

/** The door of injection: everything that other folders may import from here. PURE. */
export {
  hasIdentity,
  injectPod,
  keepAnnotations,
  serviceAccountOf,
  type InjectInput,
  type Injected,
  type Outcome,
  type ServiceAccountLookup,
} from './inject-pod.js';
export * from './reasons.js';
export { pointer, type Operation } from './patch.js';
export { describePod } from './candidate.js';
export { STANDARD_DEFAULTS, type Defaults } from './settings.js';
export type { Status } from './status-annotation.js';
export { applyOperations, splitPointer } from './apply.js';
export { uninjectPod } from './uninject.js';
export { readResources } from './annotations.js';

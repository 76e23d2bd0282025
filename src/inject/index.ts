/** The door of injection: everything that other rooms may import. PURE. */
export { applyOperations, splitPointer } from './apply.js';
export { examinePod } from './candidate.js';
export { completeInjection, injectPod, type Outcome, type ServiceAccountLookup } from './inject-pod.js';
export { joinPointer, type Operation } from './patch.js';
export {
  findUntypedAnnotation,
  isReadFromServiceAccount,
  keepAnnotations,
  OVERLONG_VALUE,
} from './read-annotations.js';
export { type DefaultsNames, readDefaults } from './read-defaults.js';
export * from './reasons.js';
export { type Defaults, STANDARD_DEFAULTS } from './settings.js';
export { uninjectPod } from './uninject.js';

/**
 * The names in a review. They are checked before anything is done with them: anybody who reaches the port can send a review,
 * and the API server itself calls us before it validates the pod. PURE.
 */
import { isObject } from '../values/json.js';
import { isGenerateName, isNamespaceName, isObjectName } from '../values/kubernetes.js';
import { quote } from '../values/text.js';

interface NameRule {
  readonly field: string;
  readonly name: unknown;
  readonly isRight: (name: string) => boolean;
  /** What the name must be. */
  readonly rule: string;
}

const LABEL = 'a DNS label (RFC 1123) of at most 63 characters';
const SUBDOMAIN = 'a DNS subdomain (RFC 1123) of at most 253 characters';

/**
 * What is wrong with the first name that no object can have; Kubernetes refuses such a pod too.
 * @param pod of any shape; an empty or absent name is right.
 */
export function findNameProblem(namespace: string, pod: Readonly<Record<string, unknown>>): string | undefined {
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : {};
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const rules: readonly NameRule[] = [
    { field: 'request.namespace', name: namespace, isRight: isNamespaceName, rule: LABEL },
    { field: 'metadata.name', name: metadata['name'], isRight: isObjectName, rule: SUBDOMAIN },
    { field: 'metadata.generateName', name: metadata['generateName'], isRight: isGenerateName, rule: SUBDOMAIN },
    { field: 'spec.serviceAccountName', name: spec['serviceAccountName'], isRight: isObjectName, rule: SUBDOMAIN },
  ];
  for (const { field, name, isRight, rule } of rules) {
    if (typeof name === 'string' && name !== '' && !isRight(name)) {
      return `the pod is malformed: ${field} ${quote(name)} can't be a name; write ${rule}`;
    }
  }
  return undefined;
}

/** Service meshes: their proxies in a pod. PURE. */
import type { CheckedPod } from './pod-shape.js';

export const ISTIO_PROXY = 'istio-proxy';
const LINKERD_PROXY = 'linkerd-proxy';

/** The plain container through which all traffic of the pod goes: before it runs, there is no network. */
export function findMeshProxy({ spec }: CheckedPod): string | undefined {
  return spec.containers.find(({ name }) => name === ISTIO_PROXY || name === LINKERD_PROXY)?.name;
}

/** Pods and the AdmissionReviews around them: `createPod` and `createReview` for what is sent, `readResponse` for the answer. */
import { Buffer } from 'node:buffer';
import type { Operation } from '../../src/inject/index.js';
import { USE_LABEL } from '../../src/names.js';

/** A pod that is considered for injection; `metadata` replaces fields of its metadata. */
export function createPod(annotations: Record<string, string> = {}, metadata: object = {}): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'app-', labels: { [USE_LABEL]: 'true' }, annotations, ...metadata },
    spec: { serviceAccountName: 'builder', containers: [{ name: 'app', image: 'app:1' }] },
  };
}

/** An AdmissionReview as the API server sends it; `change` replaces fields of its request. */
export function createReview(pod: unknown, change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      requestKind: { group: '', version: 'v1', kind: 'Pod' },
      requestResource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'apps',
      operation: 'CREATE',
      userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { apiVersion: 'meta.k8s.io/v1', kind: 'CreateOptions' },
      ...change,
    },
  };
}

export interface ReviewResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: readonly Operation[];
  readonly warnings?: readonly string[];
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

/** The response in an AdmissionReview, its patch decoded; throws where there is none, or patch and patch type disagree. */
export function readResponse(text: string): ReviewResponse {
  const { apiVersion, kind, response } = JSON.parse(text) as {
    apiVersion: string;
    kind: string;
    response: Omit<ReviewResponse, 'patch'> & { patch?: string; patchType?: string };
  };
  if (apiVersion !== 'admission.k8s.io/v1' || kind !== 'AdmissionReview')
    throw new Error(`no AdmissionReview: ${text}`);
  const { patch, patchType, ...rest } = response;
  if ((patch === undefined) !== (patchType === undefined)) throw new Error('patch and patchType go together');
  if (patch === undefined) return rest;
  if (patchType !== 'JSONPatch') throw new Error(`unknown patch type ${patchType ?? ''}`);
  return { ...rest, patch: JSON.parse(Buffer.from(patch, 'base64').toString('utf8')) as Operation[] };
}

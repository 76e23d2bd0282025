/**
 * The Secret in which all replicas share the authority and its certificates. It is created by server-side apply, with a
 * field manager for each replica and without force: of several that start at once the API server lets one have its way,
 * and that is the election. Later writes carry the resourceVersion that was read.
 */
import {
  API_TIMEOUT_MS,
  type ApiAnswer,
  createRefusal,
  judgeWrite,
  readMessage,
  type Written,
} from '../../kubernetes/answer.js';
import type { ObjectsApi } from '../../kubernetes/client.js';
import { PRODUCT, ROTATE_ANNOTATION, WEBHOOK_NAME } from '../../names.js';
import { asKeyMaterial, type KeyMaterial, readKeyMaterial, writeData } from './key-material.js';
import type { SecretView } from './plan.js';

/** The object with which the Secret goes: cluster-scoped, so that it may own objects in any namespace. */
export interface Owner {
  readonly uid: string;
}

export interface SecretRead {
  readonly view: SecretView;
  /** The annotation's value where it is none of those that are known. */
  readonly unknownRotation?: string;
  /** Why the Secret could not be given its owner, a sentence. */
  readonly ownerProblem?: string;
  /** The object as it was read; undefined where there is none. */
  readonly object?: SecretObject;
}

export interface SecretStore {
  /** For messages. */
  readonly name: string;
  /** @throws ProductError `kubernetes-api`. */
  read(owner: Owner | undefined): Promise<SecretRead>;
  /**
   * @param isRotated removes the annotation that asked for it.
   * @throws ProductError `kubernetes-api`.
   */
  write(read: SecretRead, holding: KeyMaterial, owner: Owner | undefined, isRotated: boolean): Promise<Written>;
}

interface SecretObject {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly uid: string }[];
  };
  readonly data?: unknown;
}

export interface SecretStoreOptions {
  readonly api: ObjectsApi;
  readonly namespace: string;
  /** Tells the replicas apart. */
  readonly podName: string;
  /** The name by which API servers know the webhook. */
  readonly dnsName: string;
}

const MAX_FIELD_MANAGER = 128;

export function createSecretStore({ api, namespace, podName, dnsName }: SecretStoreOptions): SecretStore {
  const path = `/api/v1/namespaces/${namespace}/secrets/${WEBHOOK_NAME}`;
  const name = `the Secret ${namespace}/${WEBHOOK_NAME}`;
  const applyPath = `${path}?fieldManager=${encodeURIComponent(`${PRODUCT}-${podName}`.slice(-MAX_FIELD_MANAGER))}&force=false`;
  const updatePath = `${path}?fieldManager=${PRODUCT}`;
  // Keys are checked only when something has changed: this is read every few seconds.
  let last: { readonly read: SecretRead; readonly owner: Owner | undefined } | undefined;
  // Some API servers let nobody give an object an owner who may not delete it (the admission plug-in
  // OwnerReferencesPermissionEnforcement). Creation is exempt, so this is met only with a Secret that someone else made.
  let ownerProblem: string | undefined;

  return {
    name,
    read: async (owner) => {
      const answer = await api.get(path, API_TIMEOUT_MS);
      if (answer.status === 404) {
        ownerProblem = undefined;
        return { view: { state: 'absent' } };
      }
      if (answer.status !== 200) throw createRefusal(answer, 'get', name);
      const object = answer.body as SecretObject;
      const { resourceVersion } = object.metadata;
      if (last?.read.object?.metadata.resourceVersion !== resourceVersion || last.owner?.uid !== owner?.uid) {
        last = { read: readSecret(object, dnsName, owner), owner };
      }
      if (!lacksOwner(object, owner)) ownerProblem = undefined;
      if (ownerProblem === undefined) return last.read;
      // Not for its owner's sake is it written again and again.
      const { view } = last.read;
      return { ...last.read, view: view.state === 'sound' ? { ...view, isOwned: true } : view, ownerProblem };
    },
    write: async ({ object }, holding, owner, isRotated) => {
      const data = writeData(holding);
      if (object === undefined) {
        const metadata = { name: WEBHOOK_NAME, namespace, ...ownedBy([], owner) };
        const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'kubernetes.io/tls', data };
        const answer = await api.patch(applyPath, 'application/apply-patch+yaml', secret, API_TIMEOUT_MS);
        return judgeWrite(answer, 'create', name);
      }
      const { [ROTATE_ANNOTATION]: rotate, ...others } = object.metadata.annotations ?? {};
      const annotations = isRotated || rotate === undefined ? others : { ...others, [ROTATE_ANNOTATION]: rotate };
      const update = (ownership: object): Promise<ApiAnswer> => {
        const secret = { ...object, metadata: { ...object.metadata, annotations, ...ownership }, data };
        return api.put(updatePath, secret, API_TIMEOUT_MS);
      };
      if (lacksOwner(object, owner)) {
        const answer = await update(ownedBy(object.metadata.ownerReferences ?? [], owner));
        if (answer.status !== 403) return judgeWrite(answer, 'update', name);
        const written = judgeWrite(await update({}), 'update', name);
        ownerProblem = `${name} can't be given its owner and stays after helm uninstall: ${readMessage(answer)}; delete it by hand and it is made anew with its owner`;
        return written;
      }
      return judgeWrite(await update({}), 'update', name);
    },
  };
}

function readSecret(object: SecretObject, dnsName: string, owner: Owner | undefined): SecretRead {
  const parts = readKeyMaterial(object.data, dnsName);
  const holding = asKeyMaterial(parts);
  if (holding === undefined) return { object, view: { state: 'damaged', parts } };
  const rotate = object.metadata.annotations?.[ROTATE_ANNOTATION];
  const isOwned = !lacksOwner(object, owner);
  if (rotate === undefined) return { object, view: { state: 'sound', holding, isOwned } };
  if (rotate !== 'leaf' && rotate !== 'ca') {
    return { object, view: { state: 'sound', holding, isOwned }, unknownRotation: rotate };
  }
  return { object, view: { state: 'sound', holding, rotate, isOwned } };
}

function lacksOwner({ metadata }: SecretObject, owner: Owner | undefined): boolean {
  return owner !== undefined && (metadata.ownerReferences ?? []).every(({ uid }) => uid !== owner.uid);
}

/** With the webhook configuration among the owners the garbage collector removes the Secret after `helm uninstall`. */
function ownedBy(references: readonly { readonly uid: string }[], owner: Owner | undefined): object {
  if (owner === undefined) return {};
  const own = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    name: WEBHOOK_NAME,
    uid: owner.uid,
  };
  return { ownerReferences: [...references.filter(({ uid }) => uid !== owner.uid), own] };
}

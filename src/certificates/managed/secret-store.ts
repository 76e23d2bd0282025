/**
 * The Secret in which all replicas share the authority and its certificates. It is created by server-side apply, with a
 * field manager for each replica and without force. Of several replicas that start at once, the API server accepts one:
 * that is the election. Later writes carry the resourceVersion that was read.
 */
import type { V1Secret } from '@kubernetes/client-node';
import {
  API_TIMEOUT_MS,
  type ApiAnswer,
  createRefusal,
  judgeWrite,
  readMessage,
  type Written,
} from '../../kubernetes/answer.js';
import type { ObjectsApi } from '../../kubernetes/client.js';
import type { Plain } from '../../kubernetes/types.js';
import { PRODUCT, ROTATE_ANNOTATION, WEBHOOK_NAME } from '../../names.js';
import { asKeyMaterial, type KeyMaterial } from './key-material.js';
import type { ObservedSecret } from './plan.js';
import { readSecretData, writeSecretData } from './secret-data.js';

type Secret = Plain<V1Secret>;
type Metadata = NonNullable<Secret['metadata']>;
type OwnerReference = NonNullable<Metadata['ownerReferences']>[number];

/** The webhook configuration. It is cluster-scoped, so that it may own objects in any namespace. */
interface Owner {
  readonly uid: string;
}

export interface SecretRead {
  readonly observed: ObservedSecret;
  /** The annotation's value where it is unknown. */
  readonly unknownRotation: string | undefined;
  /** Why the Secret could not be given its owner, a sentence. */
  readonly ownerProblem: string | undefined;
  /** The object as it was read; undefined where there is none. */
  readonly object: SecretObject | undefined;
}

export interface SecretStore {
  /** For messages. */
  readonly name: string;
  /** @throws ProductError `kubernetes-api`. */
  read(owner: Owner | undefined): Promise<SecretRead>;
  /**
   * @param isRotated removes the annotation that asked for the rotation.
   * @throws ProductError `kubernetes-api`.
   */
  write(read: SecretRead, material: KeyMaterial, owner: Owner | undefined, isRotated: boolean): Promise<Written>;
}

/** The fields that are read; all others are written back unchanged. */
interface SecretObject {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly annotations?: Record<string, string>;
    readonly ownerReferences?: OwnerReference[];
  };
  readonly data?: unknown;
}

interface SecretStoreOptions {
  readonly api: ObjectsApi;
  readonly namespace: string;
  /** Distinguishes the replicas. */
  readonly podName: string;
  /** The name by which API servers call the webhook. */
  readonly dnsName: string;
}

const MAX_FIELD_MANAGER = 128;
const ABSENT: SecretRead = {
  observed: { state: 'absent' },
  unknownRotation: undefined,
  ownerProblem: undefined,
  object: undefined,
};

export function createSecretStore({ api, namespace, podName, dnsName }: SecretStoreOptions): SecretStore {
  const path = `/api/v1/namespaces/${namespace}/secrets/${WEBHOOK_NAME}`;
  const name = `the Secret ${namespace}/${WEBHOOK_NAME}`;
  const applyPath = `${path}?fieldManager=${encodeURIComponent(`${PRODUCT}-${podName}`.slice(-MAX_FIELD_MANAGER))}&force=false`;
  const updatePath = `${path}?fieldManager=${PRODUCT}`;
  // The Secret is read every few seconds; its keys are checked only after a change.
  let last: { readonly read: SecretRead; readonly owner: Owner | undefined } | undefined;
  // The admission plug-in OwnerReferencesPermissionEnforcement refuses an owner to a client that may not delete the
  // object. Creation is exempt, so this happens only with a Secret that someone else created.
  let ownerProblem: string | undefined;

  const create = async (material: KeyMaterial, owner: Owner | undefined): Promise<Written> => {
    const metadata: Metadata = { name: WEBHOOK_NAME, namespace, ownerReferences: addOwner([], owner) };
    const data = writeSecretData(material);
    const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'kubernetes.io/tls', data };
    const answer = await api.patch(applyPath, 'application/apply-patch+yaml', secret, API_TIMEOUT_MS);
    return judgeWrite(answer, 'create', name);
  };

  return {
    name,
    read: async (owner) => {
      const answer = await api.get(path, API_TIMEOUT_MS);
      if (answer.status === 404) {
        ownerProblem = undefined;
        return ABSENT;
      }
      if (answer.status !== 200) throw createRefusal(answer, 'get', name);
      const object = answer.body as SecretObject;
      const { resourceVersion } = object.metadata;
      if (last?.read.object?.metadata.resourceVersion !== resourceVersion || last.owner?.uid !== owner?.uid) {
        last = { read: readSecret(object, dnsName, owner), owner };
      }
      if (!lacksOwner(object, owner)) ownerProblem = undefined;
      if (ownerProblem === undefined) return last.read;
      // It counts as owned, so that it isn't written again and again for its owner.
      const { observed } = last.read;
      return {
        ...last.read,
        observed: observed.state === 'valid' ? { ...observed, isOwned: true } : observed,
        ownerProblem,
      };
    },
    write: async ({ object }, material, owner, isRotated) => {
      if (object === undefined) return create(material, owner);
      const data = writeSecretData(material);
      const metadata: Metadata = { ...object.metadata, annotations: keepAnnotations(object, isRotated) };
      const update = (changed: Metadata): Promise<ApiAnswer> => {
        const secret: Secret = { ...object, metadata: changed, data };
        return api.put(updatePath, secret, API_TIMEOUT_MS);
      };
      if (!lacksOwner(object, owner)) return judgeWrite(await update(metadata), 'update', name);
      const answer = await update({ ...metadata, ownerReferences: addOwner(metadata.ownerReferences ?? [], owner) });
      if (answer.status !== 403) return judgeWrite(answer, 'update', name);
      const written = judgeWrite(await update(metadata), 'update', name);
      const fix = `run kubectl delete secret -n ${namespace} ${WEBHOOK_NAME}, and it is created again with its owner`;
      ownerProblem = `${name} can't be given its owner and stays after helm uninstall: ${readMessage(answer)}; ${fix}`;
      return written;
    },
  };
}

function readSecret(object: SecretObject, dnsName: string, owner: Owner | undefined): SecretRead {
  const partial = readSecretData(object.data, dnsName);
  const material = asKeyMaterial(partial);
  const read = { object, ownerProblem: undefined, unknownRotation: undefined };
  if (material === undefined) return { ...read, observed: { state: 'damaged', partial } };
  const value = object.metadata.annotations?.[ROTATE_ANNOTATION];
  const rotate = value === 'leaf' || value === 'ca' ? value : undefined;
  const observed: ObservedSecret = { state: 'valid', material, rotate, isOwned: !lacksOwner(object, owner) };
  return { ...read, observed, unknownRotation: rotate === undefined ? value : undefined };
}

function keepAnnotations({ metadata }: SecretObject, isRotated: boolean): Record<string, string> {
  const { [ROTATE_ANNOTATION]: rotate, ...others } = metadata.annotations ?? {};
  return isRotated || rotate === undefined ? others : { ...others, [ROTATE_ANNOTATION]: rotate };
}

function lacksOwner({ metadata }: SecretObject, owner: Owner | undefined): boolean {
  return owner !== undefined && (metadata.ownerReferences ?? []).every(({ uid }) => uid !== owner.uid);
}

/** With the webhook configuration among its owners, the Secret is garbage-collected after `helm uninstall`. */
function addOwner(references: readonly OwnerReference[], owner: Owner | undefined): OwnerReference[] {
  if (owner === undefined) return [...references];
  const own: OwnerReference = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    name: WEBHOOK_NAME,
    uid: owner.uid,
  };
  return [...references.filter(({ uid }) => uid !== owner.uid), own];
}

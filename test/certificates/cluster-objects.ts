/** A strict emulator of the API server with the two objects of managed certificates, as one API server of several sees them. */
import type { ApiAnswer } from '../../src/kubernetes/answer.js';
import type { ObjectsApi } from '../../src/kubernetes/client.js';
import { ROTATE_ANNOTATION, WEBHOOK_ENTRY, WEBHOOK_NAME } from '../../src/names.js';

export const NAMESPACE = 'ado-git';
const SECRET = `/api/v1/namespaces/${NAMESPACE}/secrets/${WEBHOOK_NAME}`;
const CONFIGURATION = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${WEBHOOK_NAME}`;

interface Metadata {
  uid: string;
  resourceVersion: string;
  annotations?: Record<string, string>;
  ownerReferences?: { uid: string; kind: string; name: string; apiVersion: string }[];
}

interface Secret {
  metadata: Metadata;
  type: string;
  data: Record<string, string>;
  /** Field managers of `data` and what they applied. */
  appliedBy?: { manager: string; data: Record<string, string> };
}

type Verb = 'get' | 'patch' | 'update';

export interface ClusterObjects {
  readonly api: ObjectsApi;
  secret: Secret | undefined;
  readonly configuration: { metadata: Metadata; caBundle: string } | undefined;
  /** The caBundle at an earlier moment, which is what lagging API servers have; PEM. */
  bundleAt(time: number): string;
  setBundle(pem: string): void;
  removeConfiguration(): void;
  addConfiguration(): void;
  rotate(kind: string): void;
  damage(change: (data: Record<string, string>) => void): void;
  /** As the garbage collector does with objects whose owners are gone. */
  collectGarbage(): void;
  /** Each `verb secret` or `verb configuration` in it is answered with 403. */
  readonly forbidden: Set<`${Verb} ${'secret' | 'configuration'}`>;
  /** Each attempted write with its status, such as `patch secret 201`. */
  readonly writes: string[];
  isAway: boolean;
  /** Whether only a client that may delete an object may give it an owner (OwnerReferencesPermissionEnforcement). */
  guardsOwners: boolean;
}

type AppliedSecret = Pick<Secret, 'type' | 'data'> & { metadata: Partial<Metadata> };

function fail(status: number, message: string): ApiAnswer {
  return { status, body: { kind: 'Status', code: status, message } };
}

/** Another field manager owns a value that this one would change. */
function findConflict(current: Secret, applied: AppliedSecret, manager: string): ApiAnswer | undefined {
  if (current.type !== applied.type) return fail(422, 'type: field is immutable');
  if (current.appliedBy?.manager === manager) return undefined;
  const isOther = (key: string): boolean => current.data[key] !== undefined && current.data[key] !== applied.data[key];
  if (!Object.keys(applied.data).some(isOther)) return undefined;
  return fail(409, `Apply failed: conflict with "${current.appliedBy?.manager ?? 'unknown'}"`);
}

export function createClusterObjects(now: () => number): ClusterObjects {
  let version = 100;
  let configuration: { metadata: Metadata; caBundle: string } | undefined;
  const history: { readonly time: number; readonly caBundle: string }[] = [];
  const next = (): string => String((version += 1));
  const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
  const setCaBundle = (caBundle: string): void => {
    if (configuration === undefined) throw new Error('no configuration');
    configuration.caBundle = caBundle;
    configuration.metadata.resourceVersion = next();
    history.push({ time: now(), caBundle: Buffer.from(caBundle, 'base64').toString() });
  };

  const showConfiguration = (): ApiAnswer => {
    if (configuration === undefined) return fail(404, 'not found');
    const { metadata, caBundle } = configuration;
    const clientConfig = { service: { name: WEBHOOK_NAME }, ...(caBundle !== '' && { caBundle }) };
    return { status: 200, body: copy({ metadata, webhooks: [{ name: WEBHOOK_ENTRY, clientConfig }] }) };
  };

  const checkSecret = (secret: {
    readonly type: string;
    readonly data: Record<string, string>;
  }): ApiAnswer | undefined => {
    const isMissing = secret.data['tls.crt'] === undefined || secret.data['tls.key'] === undefined;
    if (secret.type === 'kubernetes.io/tls' && isMissing) return fail(422, 'data[tls.crt]: Required value');
    const isBase64 = Object.values(secret.data).every(
      (value) => Buffer.from(value, 'base64').toString('base64') === value,
    );
    return isBase64 ? undefined : fail(400, 'illegal base64 data');
  };

  const patchConfiguration = (contentType: string, body: unknown): ApiAnswer => {
    if (contentType !== 'application/strategic-merge-patch+json') return fail(415, contentType);
    if (configuration === undefined) return fail(404, 'not found');
    const { metadata, webhooks } = body as {
      metadata: { resourceVersion?: string };
      webhooks: { name: string; clientConfig: { caBundle: string } }[];
    };
    const [entry, ...others] = webhooks;
    if (entry?.name !== WEBHOOK_ENTRY || others.length > 0) return fail(422, 'webhooks: invalid');
    const { resourceVersion } = configuration.metadata;
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== resourceVersion)
      return fail(409, 'modified');
    setCaBundle(entry.clientConfig.caBundle);
    return showConfiguration();
  };

  const applySecret = (query: URLSearchParams, contentType: string, body: unknown): ApiAnswer => {
    const manager = query.get('fieldManager') ?? '';
    if (contentType !== 'application/apply-patch+yaml' || manager === '' || query.get('force') === 'true') {
      return fail(400, `not a server-side apply without force: ${contentType} ${query.toString()}`);
    }
    const applied = copy(body) as AppliedSecret;
    const current = objects.secret;
    const problem = checkSecret(applied) ?? (current && findConflict(current, applied, manager));
    if (problem !== undefined) return problem;
    objects.secret = {
      type: applied.type,
      data: { ...current?.data, ...applied.data },
      metadata: { ...applied.metadata, uid: current?.metadata.uid ?? next(), resourceVersion: next() },
      appliedBy: { manager, data: applied.data },
    };
    return { status: current === undefined ? 201 : 200, body: copy(objects.secret) };
  };

  const putSecret = (body: unknown): ApiAnswer => {
    const current = objects.secret;
    const secret = copy(body) as Secret;
    if (current === undefined) return fail(404, 'not found');
    if (secret.metadata.resourceVersion !== current.metadata.resourceVersion) return fail(409, 'modified');
    if (secret.type !== current.type) return fail(422, 'type: field is immutable');
    const problem = checkSecret(secret);
    if (problem !== undefined) return problem;
    const listOwners = ({ metadata }: Secret): string => JSON.stringify(metadata.ownerReferences ?? []);
    if (objects.guardsOwners && listOwners(secret) !== listOwners(current))
      return fail(403, 'cannot set an ownerRef on a resource you can not delete');
    objects.secret = { ...secret, metadata: { ...secret.metadata, resourceVersion: next() } };
    return { status: 200, body: copy(objects.secret) };
  };

  const answer = (verb: Verb, path: string, act: (query: URLSearchParams) => ApiAnswer): Promise<ApiAnswer> => {
    if (objects.isAway) return Promise.reject(new Error('connect ECONNREFUSED'));
    const { pathname, searchParams } = new URL(path, 'https://kubernetes');
    const object = pathname === SECRET ? 'secret' : pathname === CONFIGURATION ? 'configuration' : undefined;
    if (object === undefined) return Promise.resolve(fail(403, `${pathname} is not an object of the chart's roles`));
    const result = objects.forbidden.has(`${verb} ${object}`) ? fail(403, `cannot ${verb}`) : act(searchParams);
    if (verb !== 'get') objects.writes.push(`${verb} ${object} ${result.status}`);
    return Promise.resolve(result);
  };

  const objects: ClusterObjects = {
    secret: undefined,
    get configuration() {
      return configuration;
    },
    api: {
      get: (path) =>
        answer('get', path, () => {
          if (path === CONFIGURATION) return showConfiguration();
          return objects.secret === undefined ? fail(404, 'not found') : { status: 200, body: copy(objects.secret) };
        }),
      put: (path, body) => answer('update', path, () => putSecret(body)),
      patch: (path, contentType, body) =>
        answer('patch', path, (query) =>
          path === CONFIGURATION ? patchConfiguration(contentType, body) : applySecret(query, contentType, body),
        ),
    },
    bundleAt: (time) => history.findLast((entry) => entry.time <= time)?.caBundle ?? '',
    setBundle: (pem) => setCaBundle(Buffer.from(pem).toString('base64')),
    removeConfiguration: () => (configuration = undefined),
    addConfiguration: () => {
      configuration = { metadata: { uid: `configuration-${next()}`, resourceVersion: next() }, caBundle: '' };
      history.push({ time: now(), caBundle: '' });
    },
    rotate: (kind) => {
      if (objects.secret === undefined) throw new Error('no Secret');
      objects.secret.metadata.annotations = { ...objects.secret.metadata.annotations, [ROTATE_ANNOTATION]: kind };
      objects.secret.metadata.resourceVersion = next();
    },
    damage: (change) => {
      if (objects.secret === undefined) throw new Error('no Secret');
      change(objects.secret.data);
      objects.secret.metadata.resourceVersion = next();
    },
    collectGarbage: () => {
      const owners = objects.secret?.metadata.ownerReferences ?? [];
      if (owners.length > 0 && owners.every(({ uid }) => uid !== configuration?.metadata.uid))
        objects.secret = undefined;
    },
    forbidden: new Set(),
    writes: [],
    isAway: false,
    guardsOwners: false,
  };
  objects.addConfiguration();
  return objects;
}

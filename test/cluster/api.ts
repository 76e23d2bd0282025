/** The API server, called with the rights of KUBECONFIG: `connectApi`. */
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
  /** Admission warnings. */
  readonly warnings: readonly string[];
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

export interface Api {
  request(method: string, path: string, body?: unknown, contentType?: string): Promise<ApiAnswer>;
  /** Server-side apply; throws when it is refused. */
  apply(...objects: readonly KubernetesObject[]): Promise<void>;
  create(object: KubernetesObject, query?: string): Promise<ApiAnswer>;
  /** The object, or `undefined` when there is none. */
  get(path: string): Promise<unknown>;
  remove(path: string): Promise<void>;
  logs(namespace: string, pod: string, container: string): Promise<string>;
  close(): void;
}

const PLURALS: Readonly<Record<string, string>> = {
  ResourceQuota: 'resourcequotas',
  LimitRange: 'limitranges',
  NetworkPolicy: 'networkpolicies',
};
const CLUSTER_SCOPED = new Set(['Namespace', 'MutatingWebhookConfiguration', 'ClusterRole', 'ClusterRoleBinding']);

/** Path of the collection that an object belongs to. */
function collectionOf({ apiVersion, kind, metadata }: KubernetesObject): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
  return CLUSTER_SCOPED.has(kind)
    ? `${group}/${plural}`
    : `${group}/namespaces/${metadata.namespace ?? 'default'}/${plural}`;
}

export async function connectApi(): Promise<Api> {
  const config = new KubeConfig();
  config.loadFromDefault();
  const server = new URL(config.getCurrentCluster()?.server ?? '');
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  const tls: RequestOptions = {};
  await config.applyToHTTPSOptions(tls);

  async function request(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const options = { ...tls, agent, method, host: server.hostname, port: server.port, path, timeout: 60_000 };
      const text = body === undefined ? '' : JSON.stringify(body);
      // Without a length, node sends a DELETE whose body the server reads as the next request.
      const headers = text === '' ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) };
      const outgoing = httpsRequest({ ...options, headers });
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer in a minute`)));
      outgoing.on('response', (response) => {
        let answer = '';
        response.setEncoding('utf8').on('data', (part: string) => (answer += part));
        response.on('error', reject);
        response.on('end', () => {
          const isJson = response.headers['content-type']?.includes('json') === true;
          const warnings = [response.headers.warning ?? []].flat().flatMap((line) => line.split(/, (?=299 )/));
          resolve({
            status: response.statusCode ?? 0,
            body: isJson ? (JSON.parse(answer) as unknown) : answer,
            warnings,
          });
        });
      });
      outgoing.end(text);
    });
  }

  return {
    request,
    apply: async (...objects) => {
      for (const object of objects) {
        const path = `${collectionOf(object)}/${object.metadata.name ?? ''}?fieldManager=cluster-tests&force=true`;
        const { status, body } = await request('PATCH', path, object, 'application/apply-patch+yaml');
        if (status >= 300)
          throw new Error(`${object.kind} ${object.metadata.name ?? ''} is refused: ${JSON.stringify(body)}`);
      }
    },
    create: (object, query = '') => request('POST', `${collectionOf(object)}${query}`, object),
    get: async (path) => {
      const { status, body } = await request('GET', path);
      return status === 404 ? undefined : body;
    },
    remove: async (path) => {
      await request('DELETE', path, { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' });
    },
    logs: async (namespace, pod, container) => {
      const { body } = await request('GET', `/api/v1/namespaces/${namespace}/pods/${pod}/log?container=${container}`);
      return String(body);
    },
    close: () => agent.destroy(),
  };
}

/**
 * Another team's mutating webhook, run by the test: it puts an init container first and, as image mirrors, autoscalers, meshes
 * and policies do, rewrites every container of the pod: `startSecondWebhook`.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { V1Container, V1Pod, V1Probe } from '@kubernetes/client-node';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import type { Plain } from '../../src/kubernetes/types.js';
import { epochMs } from '../../src/time.js';
import type { Api, KubernetesObject } from './api.js';
import { WORKLOAD_IMAGE } from './installation.js';

type Container = Plain<V1Container>;
type Probe = Plain<V1Probe>;

const REGISTRY = 'cluster.local/';
const MIRROR = 'mirror.local/';
const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
/** The API server calls configurations in the order of their names. */
const NAMES = { before: 'a-cluster-tests', after: 'z-cluster-tests' } as const;
/** Called earlier than ours, it has to be asked again to see the sidecar. */
const REINVOCATION = { before: 'IfNeeded', after: 'Never' } as const;

export const INIT_CONTAINER = 'second-init';
/** What every container has afterwards. */
export const REWRITTEN = {
  resources: { requests: { cpu: '20m', memory: '40Mi' }, limits: { cpu: '400m', memory: '96Mi' } },
  securityContext: { runAsUser: 4321, runAsGroup: 4321 },
  probe: { periodSeconds: 45, initialDelaySeconds: 2 },
  env: { name: 'SECOND_WEBHOOK', value: 'on' },
} as const;

/** When it is called: before our webhook, or after it. */
export type Order = keyof typeof NAMES;

export interface SecondWebhook {
  /** From the next few seconds on, the API server calls it for pods of the namespace, and refuses them if it can't. */
  register(order: Order): Promise<void>;
  unregister(): Promise<void>;
  /** Unregisters it too. */
  close(): Promise<void>;
}

/** The name under which it looks for an image. */
export function mirrorOf(image: string): string {
  return image.startsWith(REGISTRY) ? MIRROR + image.slice(REGISTRY.length) : image;
}

/** @param address of this machine, which the API server reaches. */
export async function startSecondWebhook(api: Api, address: string, namespace: string): Promise<SecondWebhook> {
  const options = { commonName: 'second', days: 1, now: epochMs(Date.now()) };
  const authority = await createAuthority(options);
  const pair = await issueCertificate(authority, { ...options, dnsNames: [], ipAddresses: [address] });
  const server = createServer({ cert: pair.certificatePem, key: pair.keyPem }, (request, response) => {
    void answer(request).then(
      (review) => response.setHeader('content-type', 'application/json').end(JSON.stringify(review)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await unregister();
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const caBundle = Buffer.from(authority.certificatePem).toString('base64');

  async function unregister(): Promise<void> {
    for (const name of Object.values(NAMES)) await api.remove(`${CONFIGURATIONS}/${name}`);
  }

  return {
    register: (order) =>
      api.apply(buildConfiguration(order, namespace, { url: `https://${address}:${port}/`, caBundle })),
    unregister,
    close: async () => {
      await unregister();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function buildConfiguration(order: Order, namespace: string, clientConfig: object): KubernetesObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: NAMES[order] },
    webhooks: [
      {
        name: 'second.example.test',
        admissionReviewVersions: ['v1'],
        clientConfig,
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        failurePolicy: 'Fail',
        reinvocationPolicy: REINVOCATION[order],
        sideEffects: 'None',
        timeoutSeconds: 10,
      },
    ],
  };
}

async function answer(request: IncomingMessage): Promise<object> {
  const review = (await json(request)) as { request: { uid: string; object: Plain<V1Pod> } };
  const { uid, object } = review.request;
  const { containers = [], initContainers = [] } = object.spec ?? {};
  const patch = [
    { op: 'add', path: '/spec/containers', value: containers.map((container) => rewrite(container, true)) },
    { op: 'add', path: '/spec/initContainers', value: putFirst(initContainers).map(rewriteInit) },
  ];
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: true,
      patchType: 'JSONPatch',
      patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
    },
  };
}

function putFirst(initContainers: readonly Container[]): readonly Container[] {
  if (initContainers.some(({ name }) => name === INIT_CONTAINER)) return initContainers;
  const own = { name: INIT_CONTAINER, image: WORKLOAD_IMAGE, imagePullPolicy: 'IfNotPresent', command: ['true'] };
  return [own, ...initContainers];
}

function rewriteInit(container: Container): Container {
  return rewrite(container, container.restartPolicy === 'Always');
}

/** Rewriting twice is the same as once. */
function rewrite(container: Container, mayHaveProbes: boolean): Container {
  const { image = '', resources, securityContext, env = [], livenessProbe } = container;
  return {
    ...container,
    image: mirrorOf(image),
    resources: {
      requests: { ...resources?.requests, ...REWRITTEN.resources.requests },
      limits: { ...resources?.limits, ...REWRITTEN.resources.limits },
    },
    securityContext: { ...securityContext, ...REWRITTEN.securityContext },
    env: [...env.filter(({ name }) => name !== REWRITTEN.env.name), REWRITTEN.env],
    ...(mayHaveProbes && { livenessProbe: rewriteProbe(livenessProbe) }),
  };
}

/** As meshes do: the kubelet is to ask in another way. */
function rewriteProbe({ httpGet, tcpSocket, ...probe }: Probe = {}): Probe {
  const port = httpGet?.port ?? tcpSocket?.port;
  const handler = port === undefined ? { exec: { command: ['true'] } } : { tcpSocket: { port } };
  return { ...probe, ...handler, ...REWRITTEN.probe };
}

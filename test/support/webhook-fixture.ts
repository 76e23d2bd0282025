/** What the webhook's tests share: a certificate authority, the stand-in API with its kubeconfig, reviews, requests. */
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import type { Operation } from '../../src/inject/index.js';
import { webhookHost } from '../../src/names.js';

export const CLIENT_ID = '11111111-2222-3333-4444-555555555555';
export const TENANT_ID = '66666666-7777-8888-9999-aaaaaaaaaaaa';
/** Where the webhook runs. */
export const NAMESPACE = 'ado-git';
export const IDENTITY = {
  'azure.workload.identity/client-id': CLIENT_ID,
  'azure.workload.identity/tenant-id': TENANT_ID,
};

export interface Pki {
  readonly authority: KeyedCertificate;
  readonly server: KeyedCertificate;
  readonly issue: (commonName?: string) => Promise<KeyedCertificate>;
}

export async function createPki(): Promise<Pki> {
  const now = Date.now();
  const authority = await createAuthority({ commonName: 'test authority', days: 1, now });
  const dnsNames = ['localhost', webhookHost(NAMESPACE)];
  const issue = (commonName = 'webhook.test'): Promise<KeyedCertificate> =>
    issueCertificate(authority, { commonName, dnsNames, ipAddresses: ['127.0.0.1'], days: 1, now });
  return { authority, server: await issue(), issue };
}

/** A directory of its own, removed by `remove`. */
export function createDirectory(): {
  readonly path: string;
  write: (name: string, text: string) => string;
  remove: () => void;
} {
  const path = mkdtempSync(join(tmpdir(), 'webhook-'));
  return {
    path,
    write: (name, text) => {
      writeFileSync(join(path, name), text);
      return join(path, name);
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export function writeKubeconfig(port: number, token: string, authority: KeyedCertificate): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [
      {
        name: 'test',
        cluster: {
          server: `https://127.0.0.1:${port}`,
          'certificate-authority-data': Buffer.from(authority.certificatePem).toString('base64'),
        },
      },
    ],
    users: [{ name: 'test', user: { token } }],
  });
}

export function createPod(annotations: Record<string, string> = {}, more: object = {}): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: 'app-',
      labels: { 'azure.workload.identity/use': 'true' },
      annotations,
      ...more,
    },
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

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

export interface RequestOptions extends https.RequestOptions {
  readonly body?: string | Buffer;
}

/** One request; rejects where the connection breaks. */
export function request(url: string, { body, ...options }: RequestOptions = {}): Promise<Answer> {
  const { request: send } = url.startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    const sent = send(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

export interface Reviewed {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: readonly Operation[];
  readonly warnings?: readonly string[];
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

/** The response in an AdmissionReview, its patch decoded. */
export function readResponse(text: string): Reviewed {
  const { apiVersion, kind, response } = JSON.parse(text) as {
    apiVersion: string;
    kind: string;
    response: Omit<Reviewed, 'patch'> & { patch?: string; patchType?: string };
  };
  if (apiVersion !== 'admission.k8s.io/v1' || kind !== 'AdmissionReview')
    throw new Error(`no AdmissionReview: ${text}`);
  const { patch, patchType, ...rest } = response;
  if ((patch === undefined) !== (patchType === undefined)) throw new Error('patch and patchType go together');
  if (patch === undefined) return rest;
  if (patchType !== 'JSONPatch') throw new Error(`unknown patch type ${patchType ?? ''}`);
  return { ...rest, patch: JSON.parse(Buffer.from(patch, 'base64').toString('utf8')) as Operation[] };
}

/** Waits until the condition holds; the test's own time limit ends what never comes. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Starts the real webhook, and sends it admission requests for pods as the API server does. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { type Programs, stopProgram } from '../emulators/index.js';
import type { Operation } from '../inject/index.js';
import type { Pod } from '../kubernetes/types.js';

export interface WebhookOptions {
  readonly programs: Programs;
  /** Starts the webhook. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Verifies the webhook's certificate. */
  readonly authorityPem: string;
  readonly serverName: string;
}

/** The webhook's answer to one AdmissionReview. */
export interface Admission {
  readonly allowed: boolean;
  readonly patch: readonly Operation[];
  readonly warnings: readonly string[];
  readonly message: string;
  /** Such as `TLSv1.3`. */
  readonly tls: string;
  /** How long the answer took. */
  readonly tookMs: number;
}

export interface RunningWebhook {
  readonly port: number;
  readonly log: readonly string[];
  readonly admit: (namespace: string, pod: Pod) => Promise<Admission>;
  /** Stops it with SIGTERM; returns its exit code. */
  readonly stop: () => Promise<number | null>;
}

interface AdmissionReview {
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly patch?: string;
    readonly warnings?: readonly string[];
    readonly status?: { readonly message?: string };
  };
}

const READY_WITHIN_MS = 20_000;

/** Starts the webhook; resolves when its log says that it is ready. */
export async function startWebhook(options: WebhookOptions): Promise<RunningWebhook> {
  const [command = '', ...args] = options.command;
  const child = options.programs.start(command, args, { env: options.env });
  const log: string[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    let listening = 0;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface(stream).on('line', (line) => {
        log.push(line);
        listening = Number(/"port":(\d+)/.exec(line)?.[1] ?? listening);
        if (line.includes('"message":"the webhook is ready"')) resolve(listening);
      });
    }
    const fail = (what: string): void => reject(new Error(`the webhook ${what}:\n${log.join('\n')}`));
    child.once('close', () => fail('stopped before it was ready'));
    setTimeout(() => fail(`is not ready after ${READY_WITHIN_MS / 1000} s`), READY_WITHIN_MS).unref();
  });
  return {
    port,
    log,
    admit: (namespace, pod) => sendReview(options, port, namespace, pod),
    stop: async () => {
      await stopProgram(child);
      return child.exitCode;
    },
  };
}

async function sendReview(options: WebhookOptions, port: number, namespace: string, pod: Pod): Promise<Admission> {
  const uid = randomUUID();
  const body = JSON.stringify(createReview(uid, namespace, pod));
  const started = performance.now();
  const call = request({
    host: '127.0.0.1',
    port,
    servername: options.serverName,
    ca: options.authorityPem,
    agent: false,
    method: 'POST',
    path: '/mutate?timeout=5s',
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
  });
  let tls = '';
  call.on('socket', (socket: TLSSocket) =>
    socket.once('secureConnect', () => (tls = socket.getProtocol() ?? 'unknown')),
  );
  call.end(body);
  const [answer] = (await once(call, 'response')) as [NodeJS.ReadableStream];
  const { response } = (await json(answer)) as AdmissionReview;
  const tookMs = performance.now() - started;
  if (response.uid !== uid) throw new Error(`the webhook answered the request ${response.uid} and not ${uid}`);
  return {
    allowed: response.allowed,
    patch: readPatch(response.patch),
    warnings: response.warnings ?? [],
    message: response.status?.message ?? '',
    tls,
    tookMs,
  };
}

/** The AdmissionReview that the API server sends when a pod is created. */
function createReview(uid: string, namespace: string, pod: Pod): object {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const resource = { group: '', version: 'v1', resource: 'pods' };
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid,
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      namespace,
      operation: 'CREATE',
      dryRun: false,
      object: pod,
      oldObject: null,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
      userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
    },
  };
}

function readPatch(base64: string | undefined): readonly Operation[] {
  return base64 === undefined ? [] : (JSON.parse(Buffer.from(base64, 'base64').toString()) as Operation[]);
}

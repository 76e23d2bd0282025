/**
 * The program of the attacker's pod: it holds connections open at every port and sends hostile requests, each kind in a loop, until
 * it is killed. Every few seconds it prints a line of JSON: how often each kind was tried, and how many were answered.
 * Its argument is a `Targets` as JSON.
 */
import { request as requestHttp } from 'node:http';
import { request as requestHttps, type RequestOptions } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { createPod, createReview } from '../support/admission-review.js';
import { HOSTILE_REVIEWS } from '../support/hostile-reviews.js';

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Targets {
  /** The Service. */
  readonly webhook: Target;
  /** Of each replica. */
  readonly health: readonly Target[];
  /** Of a labelled pod. */
  readonly sidecar: Target;
  /** Of which the cluster has service accounts named `builder`. */
  readonly namespaces: readonly string[];
}

/** What was done of a kind. */
export interface Tally {
  tried: number;
  answered: number;
  /** Connections that are held, or requests that wait for their answers. */
  open: number;
}

const targets = JSON.parse(process.argv[2] ?? '') as Targets;
const { webhook, health, sidecar, namespaces } = targets;
const PRINT_EVERY_MS = 5000;
/** Between the end of a held connection and the next one. */
const RENEW_MS = 50;
const REQUEST_TIMEOUT_MS = 10_000;
const KIB = 1024;
const HEAD = 'POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
const GET_HEAD = 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n';
const ORDINARY = JSON.stringify(createReview(createPod()));
/** Its answer is large. */
const MANY_CONTAINERS = HOSTILE_REVIEWS.get('pod: containers up to the limit')?.().toString() ?? '';

/** Both are plain ASCII. */
const writeRequest = (body: string): string => `${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`;

const tallies: Record<string, Tally> = {};
setInterval(() => process.stdout.write(`${JSON.stringify(tallies)}\n`), PRINT_EVERY_MS);

function startTally(kind: string): Tally {
  return (tallies[kind] ??= { tried: 0, answered: 0, open: 0 });
}

interface Holding {
  readonly to: Target;
  readonly isTls: boolean;
  readonly count: number;
  /** Sent at once. */
  readonly text?: string;
  /** Then sent twice a second. */
  readonly drop?: string;
  /** Whether answers are not read. */
  readonly isDeaf?: boolean;
}

/** Holds so many connections open, and renews those that are closed. */
function hold(kind: string, holding: Holding): void {
  const tally = startTally(kind);
  for (let index = 0; index < holding.count; index += 1) holdOne(holding, tally);
}

function holdOne(holding: Holding, tally: Tally): void {
  const { to, isTls, text = '', drop, isDeaf = false } = holding;
  const socket: Socket = isTls ? connectTls({ ...to, rejectUnauthorized: false }) : connectTcp(to);
  tally.tried += 1;
  tally.open += 1;
  if (text !== '') socket.write(text);
  const timer = drop === undefined ? undefined : setInterval(() => socket.write(drop), 500);
  if (isDeaf) socket.pause();
  else socket.once('data', () => (tally.answered += 1)).resume();
  socket
    .on('error', () => undefined)
    .on('close', () => {
      clearInterval(timer);
      tally.open -= 1;
      setTimeout(() => holdOne(holding, tally), RENEW_MS);
    });
}

/** Sends requests one after the other, so many at a time. */
function repeat(kind: string, parallel: number, send: () => Promise<void>): void {
  const tally = startTally(kind);
  const work = async (): Promise<void> => {
    for (;;) {
      tally.tried += 1;
      tally.open += 1;
      try {
        await send();
        tally.answered += 1;
      } catch {
        await sleep(RENEW_MS);
      }
      tally.open -= 1;
    }
  };
  for (let index = 0; index < parallel; index += 1) void work();
}

function review(body: string | Buffer): Promise<void> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return exchange(
    requestHttps,
    { ...webhook, path: '/mutate', method: 'POST', headers, rejectUnauthorized: false },
    body,
  );
}

function exchange(
  request: typeof requestHttp | typeof requestHttps,
  options: RequestOptions,
  body: string | Buffer = '',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...options, timeout: REQUEST_TIMEOUT_MS }, (response) =>
      response.on('end', resolve).on('error', reject).resume(),
    );
    sent
      .on('timeout', () => sent.destroy(new Error('no answer')))
      .on('error', reject)
      .end(body);
  });
}

let serial = 0;

/** A pod that can't be served, with an owner of its own: an Event would be written about it. */
function createUnserved(): string {
  const name = `owner-${(serial += 1)}`;
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid: name, controller: true };
  const pod = createPod({}, { ownerReferences: [owner] });
  const namespace = namespaces[serial % namespaces.length];
  return JSON.stringify(
    createReview({ ...pod, spec: { ...(pod['spec'] as object), os: { name: 'windows' } } }, { namespace }),
  );
}

/** A pod with a service account that is not known: it would be read live. */
function createUnknown(): string {
  const serviceAccountName = `account-${(serial += 1)}`;
  const pod = createPod();
  const namespace = serial % 2 === 0 ? `namespace-${serial}` : namespaces[serial % namespaces.length];
  return JSON.stringify(
    createReview({ ...pod, spec: { ...(pod['spec'] as object), serviceAccountName } }, { namespace }),
  );
}

const hello = Buffer.from('160301020001', 'hex').toString('latin1');
const tls = { to: webhook, isTls: true };
hold('silent connections', { to: webhook, isTls: false, count: 256 });
hold('unfinished handshakes', { to: webhook, isTls: false, count: 256, text: hello });
hold('silence after the handshake', { ...tls, count: 256 });
hold('half heads', { ...tls, count: 256, text: 'POST /mutate HTT' });
hold('heads without an end', { ...tls, count: 64, text: HEAD, drop: 'X-Some: header\r\n' });
hold('announced bodies', { ...tls, count: 128, text: `${HEAD}Content-Length: ${512 * KIB}\r\n\r\n` });
hold('announced bodies that are too large', { ...tls, count: 4, text: `${HEAD}Content-Length: 99999999999\r\n\r\n` });
hold('half bodies', {
  ...tls,
  count: 32,
  text: `${HEAD}Content-Length: ${4000 * KIB}\r\n\r\n${'x'.repeat(2000 * KIB)}`,
});
hold('slow bodies', { ...tls, count: 128, text: `${HEAD}Transfer-Encoding: chunked\r\n\r\n`, drop: '1\r\nx\r\n' });
hold('answers that are not taken', { ...tls, count: 32, text: writeRequest(MANY_CONTAINERS), isDeaf: true });
hold('requests ahead of their answers', { ...tls, count: 16, text: writeRequest(ORDINARY).repeat(8) });

const bodies = [...HOSTILE_REVIEWS.values()];
repeat('hostile reviews', 4, () => review(bodies[(serial += 1) % bodies.length]?.() ?? ''));
repeat('ordinary reviews', 4, () => review(ORDINARY));
repeat('reviews that cause Events', 4, () => review(createUnserved()));
repeat('reviews that cause live reads', 4, () => review(createUnknown()));

for (const to of [...health, sidecar]) {
  const kind = to === sidecar ? "the sidecar's port" : 'the health port';
  hold(`${kind}: silence`, { to, isTls: false, count: 128 });
  hold(`${kind}: half heads`, { to, isTls: false, count: 64, text: 'GET /healthz HTT' });
  hold(`${kind}: requests ahead of their answers`, { to, isTls: false, count: 16, text: GET_HEAD.repeat(8) });
  repeat(`${kind}: requests`, 2, () => exchange(requestHttp, { ...to, path: '/metrics' }));
}

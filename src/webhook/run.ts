/** Runs the webhook: settings, connection, certificate, ports, service, and an orderly shutdown. */
import { waitUntilVerified } from '../certificates/verify.js';
import { reportError } from '../errors.js';
import { createKubernetesApi } from '../kubernetes/client.js';
import type { Connect } from '../kubernetes/connection.js';
import { createLogger, type Logger } from '../log.js';
import { WEBHOOK_ENV } from '../names.js';
import { sleep } from '../sleep.js';
import { epochMs, type Milliseconds, milliseconds, type Now } from '../time.js';
import type { Environment } from '../values/environment.js';
import { VERSION } from '../version.js';
import { type AdmissionOptions, createAdmission } from './admission.js';
import { openClientAuthority } from './client-authority.js';
import { readWebhookConfig, type WebhookConfig } from './config.js';
import { createEventRecorder } from './events.js';
import { createHealthServer } from './health.js';
import { closeServer, listen } from './listen.js';
import { createMetrics } from './metrics.js';
import { type Condition, createReadiness, type Readiness } from './readiness.js';
import { reflectServiceAccounts } from './reflector.js';
import { shortenRepeats } from './repeats.js';
import { limitRequestLog } from './request-log.js';
import { type App, createApp } from './server.js';
import { createServiceAccountCache } from './service-account-cache.js';
import { createServiceAccounts } from './service-account-lookup.js';
import { followCertificate, openCertificates } from './tls.js';
import { createTurns } from './turns.js';

/** What the webhook gets from its process. */
export interface WebhookProcess {
  readonly env: Environment;
  /** Takes JSON lines. */
  readonly writeLog: (lines: string) => void;
  /** Takes sentences that say why it did not start, a line each. */
  readonly writeError: (lines: string) => void;
  /** How the API server is reached. */
  readonly connect: Connect;
  /** Aborted on SIGTERM or SIGINT: the webhook then shuts down in order. */
  readonly stop: AbortSignal;
}

/** Grace period for responses in flight after the drain. */
const LAST_ANSWERS_MS = 5000;

/** @returns the exit code: 0 after an orderly end, else that of the error. */
export async function runWebhook(given: WebhookProcess): Promise<number> {
  try {
    await serve(given, readWebhookConfig(given.env));
    return 0;
  } catch (error) {
    return reportError('webhook', error, given.writeError);
  }
}

async function serve({ writeLog, connect, stop }: WebhookProcess, config: WebhookConfig): Promise<void> {
  const now: Now = () => epochMs(Date.now());
  const clock = (): Milliseconds => milliseconds(performance.now());
  const log = createLogger(config.logLevel, writeLog, now);
  const connection = await connect(config.connection, now);
  const ending = new AbortController();
  const { signal } = ending;
  const api = createKubernetesApi(connection);
  try {
    const cache = createServiceAccountCache();
    const turns = createTurns(clock);
    const readiness = createReadiness(listConditions(config), () => log.info('the webhook is ready'));
    const metrics = createMetrics({
      now,
      countServiceAccounts: () => cache.size,
      countInFlight: () => turns.count,
      isReady: () => readiness.missing().length === 0,
    });
    const certificates = await openCertificates({ tls: config.tls, api, log, metrics, now, sleep });
    signal.addEventListener('abort', () => certificates.close());
    const serviceAccounts = createServiceAccounts({ api, cache, clock, onLiveRead: metrics.countLiveRead });
    const recordEvents = createEventRecorder({ api, cache, log, now, clock, count: metrics.countEvent });
    const report: AdmissionOptions['report'] = (outcome, request) => {
      metrics.countWarnings(outcome);
      recordEvents(outcome, request);
    };
    const requestLog = limitRequestLog(shortenRepeats(log, clock), clock);
    const { defaults } = config;
    const admit = createAdmission({ serviceAccounts, defaults, log: requestLog, report });
    const clients = config.clients && (await openClientAuthority(config.clients, { log, sleep, signal }));
    const app = createApp({ admit, log: requestLog, metrics, clock, turns, clients }, certificates.current());
    clients?.onChange(() => app.renewClientAuthority());
    followCertificate({ certificates, app, metrics, log, now });
    const synced = (): void => {
      metrics.reflector.synced();
      readiness.fulfil('service-accounts');
    };
    const observer = { ...metrics.reflector, synced };
    void reflectServiceAccounts({ api, cache, log, observer, signal, sleep, random: Math.random });
    const verify = async (port: number): Promise<void> => {
      const { namespace } = config.tls;
      if (namespace === undefined) return;
      const { readCaBundle } = certificates;
      if (await waitUntilVerified({ port, namespace, readCaBundle, sleep, signal, log })) {
        readiness.fulfil('verified-by-the-api-server');
      }
    };
    const health = createHealthServer(readiness, metrics.registry, () => turns.noteConnection());
    await serveUntilStopped({ app, health, config, readiness, log, stop, verify });
  } finally {
    ending.abort();
    api.close();
  }
}

function listConditions({ tls }: WebhookConfig): readonly Condition[] {
  const conditions: Condition[] = ['listening', 'service-accounts'];
  // Outside of a cluster no API server calls it.
  return tls.namespace === undefined ? conditions : [...conditions, 'verified-by-the-api-server'];
}

interface Service {
  readonly app: App;
  readonly health: ReturnType<typeof createHealthServer>;
  readonly config: WebhookConfig;
  readonly readiness: Readiness;
  readonly log: Logger;
  readonly stop: AbortSignal;
  /** Waits until the API server can verify what this port serves. */
  readonly verify: (port: number) => Promise<void>;
}

/** Opens the ports, serves until the stop, and shuts down in order. */
async function serveUntilStopped({ app, health, config, readiness, log, stop, verify }: Service): Promise<void> {
  try {
    await app.fastify.ready();
    const port = await listen(app.server, config.listenPort, WEBHOOK_ENV.listenPort);
    const healthPort = await listen(health, config.healthPort, WEBHOOK_ENV.healthPort);
    log.info('listening', { port, healthPort, version: VERSION });
    readiness.fulfil('listening');
    void verify(port);
    await waitForAbort(stop);
    const isServing = readiness.missing().length === 0;
    readiness.drain();
    app.closeConnectionsAfterAnswers();
    log.info('shutting down', { drainSeconds: isServing ? config.drainSeconds : 0 });
    // The API server sends requests here until it knows the new endpoints.
    if (isServing) await sleep(config.drainSeconds * 1000);
  } finally {
    await closeServer(app.server, LAST_ANSWERS_MS);
    await closeServer(health, 0);
  }
  log.info('stopped');
}

function waitForAbort(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

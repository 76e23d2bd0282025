/** The webhook's life: settings, certificate, cluster, ports, service, an orderly end. */
import { setTimeout as sleepFor } from 'node:timers/promises';
import { waitUntilVerified } from '../certificates/verify.js';
import { reportError } from '../errors.js';
import { createKubernetesApi } from '../kubernetes/client.js';
import type { Connect } from '../kubernetes/connection.js';
import { createLogger, type Logger } from '../log.js';
import { WEBHOOK_ENV } from '../names.js';
import { type EpochMs, epochMs, type Milliseconds, milliseconds } from '../time.js';
import type { Environment } from '../values/environment.js';
import { VERSION } from '../version.js';
import { createAdmission } from './admission.js';
import { readWebhookConfig, type WebhookConfig } from './config.js';
import { createEventRecorder } from './events.js';
import { createHealthServer } from './health.js';
import { closeServer, listen } from './listen.js';
import { createMetrics } from './metrics.js';
import { type Condition, createReadiness, type Readiness } from './readiness.js';
import { reflectServiceAccounts } from './reflector.js';
import { type App, createApp } from './server.js';
import { createServiceAccountCache } from './service-account-cache.js';
import { createServiceAccounts } from './service-account-lookup.js';
import { followCertificate, openCertificates } from './tls.js';

/** What the webhook is given of its process. */
export interface WebhookProcess {
  readonly env: Environment;
  /** Takes JSON lines. */
  readonly writeLog: (lines: string) => void;
  /** Takes sentences that say why it did not start, a line each. */
  readonly writeError: (lines: string) => void;
  /** How the API server is reached. */
  readonly connect: Connect;
  /** Aborted on SIGTERM or SIGINT: the webhook then ends in order. */
  readonly stop: AbortSignal;
}

/** So long answers that are under way may take once the drain is over, milliseconds. */
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
  const now = (): EpochMs => epochMs(Date.now());
  const clock = (): Milliseconds => milliseconds(performance.now());
  const log = createLogger(config.logLevel, writeLog, now);
  const connection = await connect(config.connection, now);
  const ending = new AbortController();
  const api = createKubernetesApi(connection);
  try {
    const cache = createServiceAccountCache();
    const conditions: Condition[] = ['listening', 'service-accounts'];
    if (config.tls.namespace !== undefined) conditions.push('verified-by-the-api-server');
    const readiness = createReadiness(conditions, () => log.info('ready'));
    const metrics = createMetrics({
      now,
      countServiceAccounts: () => cache.size,
      countInFlight: () => app.inFlight(),
      isReady: () => readiness.missing().length === 0,
    });
    const certificates = await openCertificates({ tls: config.tls, api, log, metrics, now, sleep });
    ending.signal.addEventListener('abort', () => certificates.close());
    const serviceAccounts = createServiceAccounts({ api, cache, now, onLiveRead: metrics.countLiveRead });
    const report = createEventRecorder({ api, log, now, count: metrics.countEvent });
    const admit = createAdmission({ serviceAccounts, defaults: config.defaults, log, report });
    const app: App = createApp({ admit, log, metrics, clock }, certificates.current());
    followCertificate(certificates, app, metrics, log);
    const synced = (): void => {
      metrics.reflector.synced();
      readiness.fulfil('service-accounts');
    };
    const observer = { ...metrics.reflector, synced };
    void reflectServiceAccounts({ api, cache, log, observer, signal: ending.signal, sleep, random: Math.random });
    const verify = async (port: number): Promise<void> => {
      const { namespace } = config.tls;
      if (namespace === undefined) return;
      const { readCaBundle } = certificates;
      const { signal } = ending;
      if (await waitUntilVerified({ port, namespace, readCaBundle, sleep, signal, log })) {
        readiness.fulfil('verified-by-the-api-server');
      }
    };
    const health = createHealthServer(readiness, metrics.registry);
    await serveUntilStopped({ app, health, config, readiness, log, stop, verify });
  } finally {
    ending.abort();
    api.close();
  }
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

/** Opens the ports, serves until the stop, and ends in order. */
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
    // Until the endpoints have spread, the API server goes on sending requests here.
    if (isServing) await sleep(config.drainSeconds * 1000);
  } finally {
    await closeServer(app.server, LAST_ANSWERS_MS);
    await closeServer(health, 0);
  }
  log.info('stopped');
}

/** Ends early, without an error, when the signal is aborted. */
async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await sleepFor(milliseconds, undefined, { signal }).catch(() => undefined);
}

function waitForAbort(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

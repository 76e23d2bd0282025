/** The sidecar's life: reads its configuration, adopts what an earlier run left, listens, and keeps a token until it is stopped. */
import { describeError, reportError } from '../errors.js';
import { createLogger } from '../log.js';
import { epochMs, milliseconds, type Now } from '../time.js';
import type { Environment } from '../values/environment.js';
import { VERSION } from '../version.js';
import { readSidecarConfig, type SidecarConfig } from './config.js';
import { createEndpoints, listen } from './endpoints.js';
import { openStateDirectory } from './state-directory.js';
import type { Clock } from './token.js';
import { createTokenManager } from './token-manager.js';
import { createTokenSource } from './token-source.js';

/** What the sidecar needs of its process. */
export interface SidecarProcess {
  readonly env: Environment;
  /** Receives JSON lines. */
  readonly writeLog: (lines: string) => void;
  /** Receives the reasons why it did not start, a line each. */
  readonly writeError: (lines: string) => void;
  /** Aborted on SIGTERM or SIGINT: the sidecar then stops at once. */
  readonly stop: AbortSignal;
}

/**
 * Runs until it is stopped.
 * @returns the exit code: 0 after a stop, else that of the error.
 */
export async function runSidecar(given: SidecarProcess): Promise<number> {
  try {
    await serve(given, readSidecarConfig(given.env));
    return 0;
  } catch (error) {
    return reportError('sidecar', error, given.writeError);
  }
}

async function serve({ writeLog, stop }: SidecarProcess, config: SidecarConfig): Promise<void> {
  // Frees what the start left: 1 MB less from then on, as measured.
  collectGarbage();
  const log = createLogger(config.logLevel, writeLog, now);
  const manager = createTokenManager({
    config,
    version: VERSION,
    directory: openStateDirectory(config.directory),
    ask: createTokenSource({ config, log, now, signal: stop }),
    clock,
    random: Math.random,
    log,
    collectGarbage,
  });
  const server = createEndpoints(manager);
  manager.open();
  try {
    await listen(server, config);
    const { identity, port, startup, directory } = config;
    log.info('started', { version: VERSION, ...identity, port, startup, directory });
    manager.start();
    await waitForAbort(stop);
  } catch (error) {
    manager.giveUp(describeError(error));
    throw error;
  } finally {
    manager.stop();
    server.close();
    server.closeAllConnections();
  }
}

const now: Now = () => epochMs(Date.now());

const clock: Clock = {
  read: () => ({ epochMs: now(), elapsedMs: milliseconds(performance.now()) }),
  after: (spanMs, action) => {
    const timer = setTimeout(action, spanMs);
    return () => clearTimeout(timer);
  },
};

/**
 * Works where node was started with `--expose-gc`. The second call makes newer versions of V8 return the pages that they
 * keep in reserve (4 MB less on Node 24 after 15,000 probes); older versions collect once more.
 */
function collectGarbage(): void {
  globalThis.gc?.();
  globalThis.gc?.({ flavor: 'last-resort' });
}

function waitForAbort(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

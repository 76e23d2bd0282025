/**
 * The authority of the API server's client certificate: a PEM file that others write, such as a mounted ConfigMap. It is
 * polled, as the kubelet swaps mounted files behind a symbolic link, which file watches do not report reliably.
 */
import { readFile } from 'node:fs/promises';
import { describeError, ProductError } from '../errors.js';
import type { Logger } from '../log.js';
import { WEBHOOK_ENV } from '../names.js';
import type { Sleep } from '../time.js';
import { readCertificates } from '../values/certificates.js';
import type { ClientConfig } from './config.js';

export interface ClientAuthority {
  /** One or more certificates, PEM. */
  readonly authorityPem: () => string;
  /** Common names that are accepted; with none, every certificate of the authority. */
  readonly commonNames: readonly string[];
  /** Called after each change. */
  readonly onChange: (listener: () => void) => void;
}

export interface ClientAuthorityOptions {
  readonly log: Logger;
  readonly sleep: Sleep;
  readonly signal: AbortSignal;
}

const POLL_EVERY_MS = 1000;

/** @throws ProductError `certificate`, where the file can't be read or holds no certificates. */
export async function openClientAuthority(
  { authorityFile, commonNames }: ClientConfig,
  { log, sleep, signal }: ClientAuthorityOptions,
): Promise<ClientAuthority> {
  let pem = await readAuthority(authorityFile);
  let failure: string | undefined;
  const listeners: (() => void)[] = [];

  const poll = async (): Promise<void> => {
    try {
      const next = await readAuthority(authorityFile);
      failure = undefined;
      if (next === pem) return;
      pem = next;
      for (const listener of listeners) listener();
      log.info('a new authority of client certificates is used', { from: authorityFile });
    } catch (error) {
      const message = describeError(error);
      if (message !== failure) log.error(`${message}; the authority before it is still used`);
      failure = message;
    }
  };
  const run = async (): Promise<void> => {
    for (;;) {
      await sleep(POLL_EVERY_MS, signal);
      if (signal.aborted) return;
      await poll();
    }
  };
  void run();

  return { authorityPem: () => pem, commonNames, onChange: (listener) => void listeners.push(listener) };
}

async function readAuthority(path: string): Promise<string> {
  const name = `${path} (${WEBHOOK_ENV.clientCaFile})`;
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new ProductError('certificate', `${name} can't be read: ${describeError(error)}`, { cause: error });
  });
  const reading = readCertificates(text);
  if ('value' in reading) return reading.value;
  throw new ProductError('certificate', `${name} ${reading.problem}`);
}

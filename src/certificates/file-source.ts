/**
 * A certificate from two files that others write: a mounted Secret, cert-manager, a developer. The files are polled:
 * Kubernetes swaps mounted files behind a symbolic link, which file watches do not report reliably.
 */
import { readFile } from 'node:fs/promises';
import { describeError, ProductError } from '../errors.js';
import type { Sleep } from '../time.js';
import { checkPair, type KeyedCertificate } from './pair.js';
import type { CertificateSource } from './source.js';

interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly sleep: Sleep;
}

/** What was wrong at the last polls, and at how many in a row. */
interface Failure {
  readonly message: string;
  readonly count: number;
}

const POLL_EVERY_MS = 1000;

/** @throws ProductError `certificate`, where the files can't be read or do not make a pair. */
export async function openCertificateFiles(files: CertificateFiles): Promise<CertificateSource> {
  let pair = await readPair(files);
  const names = { certificate: files.certificateFile, key: files.keyFile };
  checkPair(pair, names);
  const changeListeners: ((pair: KeyedCertificate) => void)[] = [];
  const refusalListeners: ((error: ProductError) => void)[] = [];
  const stop = new AbortController();
  let failure: Failure | undefined;

  const poll = async (): Promise<void> => {
    try {
      const next = await readPair(files);
      const isChanged = !isSame(next, pair);
      if (isChanged) checkPair(next, names);
      failure = undefined;
      if (!isChanged) return;
      pair = next;
      for (const listener of changeListeners) listener(pair);
    } catch (error) {
      if (!(error instanceof ProductError)) throw error;
      const { message } = error;
      failure = { message, count: failure?.message === message ? failure.count + 1 : 1 };
      // At the first poll the pair may be half written; after the second the failure is already reported.
      if (failure.count === 2) for (const listener of refusalListeners) listener(error);
    }
  };
  const run = async (): Promise<void> => {
    for (;;) {
      await files.sleep(POLL_EVERY_MS, stop.signal);
      if (stop.signal.aborted) return;
      await poll();
    }
  };
  void run();

  return {
    current: () => pair,
    onChange: (listener) => void changeListeners.push(listener),
    onRefusal: (listener) => void refusalListeners.push(listener),
    close: () => stop.abort(),
  };
}

async function readPair({ certificateFile, keyFile }: CertificateFiles): Promise<KeyedCertificate> {
  const [certificatePem, keyPem] = await Promise.all([readText(certificateFile), readText(keyFile)]);
  return { certificatePem, keyPem };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ProductError('certificate', `${path} can't be read: ${describeError(error)}`, { cause: error });
  }
}

function isSame(one: KeyedCertificate, other: KeyedCertificate): boolean {
  return one.certificatePem === other.certificatePem && one.keyPem === other.keyPem;
}

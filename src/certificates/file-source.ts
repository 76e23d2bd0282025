/**
 * A certificate from two files that someone else writes: a mounted Secret, cert-manager, a development machine. They are
 * read again and again: Kubernetes swaps mounted files behind a symbolic link, of which file watches see nothing reliable.
 */
import { readFile } from 'node:fs/promises';
import { describeError, ProductError } from '../errors.js';
import { checkPair, type KeyedCertificate } from './pair.js';
import type { CertificateSource } from './source.js';

export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Milliseconds. */
  readonly pollEvery?: number;
}

const POLL_EVERY = 1000;

/** @throws ProductError `certificate`, where the files can't be read or do not make a pair. */
export async function openCertificateFiles(files: CertificateFiles): Promise<CertificateSource> {
  let pair = await readPair(files);
  const names = { certificate: files.certificateFile, key: files.keyFile };
  checkPair(pair, names);
  const onChange: ((pair: KeyedCertificate) => void)[] = [];
  const onRefusal: ((error: ProductError) => void)[] = [];
  const stop = new AbortController();
  let doubt: Doubt = { count: 0 };

  const poll = async (): Promise<void> => {
    let next: KeyedCertificate | undefined;
    try {
      next = await readPair(files);
      if (isSame(next, pair)) {
        doubt = { count: 0 };
        return;
      }
      checkPair(next, names);
      pair = next;
      doubt = { count: 0 };
      for (const listener of onChange) listener(pair);
    } catch (error) {
      if (!(error instanceof ProductError)) throw error;
      doubt = { error: error.message, count: doubt.error === error.message ? doubt.count + 1 : 1 };
      // The first time it may be a pair that is just being swapped; after the second it has been said.
      if (doubt.count === 2) for (const listener of onRefusal) listener(error);
    }
  };
  const run = async (): Promise<void> => {
    for (;;) {
      await files.sleep(files.pollEvery ?? POLL_EVERY, stop.signal);
      if (stop.signal.aborted) return;
      await poll();
    }
  };
  void run();

  return {
    current: () => pair,
    onChange: (listener) => void onChange.push(listener),
    onRefusal: (listener) => void onRefusal.push(listener),
    close: () => stop.abort(),
  };
}

/** What was wrong at the last polls, and at how many in a row. */
interface Doubt {
  readonly error?: string;
  readonly count: number;
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

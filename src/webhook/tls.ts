/** Where the webhook's certificate comes from, and what follows when it changes. */
import { openCertificateFiles } from '../certificates/file-source.js';
import { startManagedCertificates } from '../certificates/managed/source.js';
import { type PairNames, readValidity } from '../certificates/pair.js';
import type { CertificateSource } from '../certificates/source.js';
import { createVerifiedSource } from '../certificates/verified-source.js';
import { verifyPair } from '../certificates/verify.js';
import { createCaBundle } from '../certificates/webhook-configuration.js';
import type { KubernetesApi } from '../kubernetes/client.js';
import type { Logger } from '../log.js';
import { WEBHOOK_NAME, webhookHost } from '../names.js';
import type { TlsConfig } from './config.js';
import type { Metrics } from './metrics.js';
import type { App } from './server.js';

export interface CertificateOptions {
  readonly tls: TlsConfig;
  readonly api: KubernetesApi;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Ends early, without an error, when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
}

export interface Certificates extends CertificateSource {
  /** What its two parts are called in messages. */
  readonly names: PairNames;
  /** PEM by which the API servers verify what is served; undefined until they can. */
  readonly readCaBundle: () => Promise<string | undefined>;
}

/** @throws ProductError `certificate`, where files can't be used; managed certificates come sooner or later. */
export async function openCertificates(options: CertificateOptions): Promise<Certificates> {
  const { tls, api, log, metrics, now, sleep } = options;
  if (tls.mode === 'files') {
    const { certificateFile, keyFile } = tls;
    const files = await openCertificateFiles({ certificateFile, keyFile, sleep });
    const bundle = createCaBundle(api);
    const readCaBundle = async (): Promise<string | undefined> => (await bundle.read())?.caBundle;
    const names = { certificate: certificateFile, key: keyFile };
    // Outside of a cluster nobody knows by which name the webhook is called.
    if (tls.namespace === undefined) return { ...files, names, readCaBundle };
    const host = webhookHost(tls.namespace);
    const held = createVerifiedSource({
      ...{ source: files, readCaBundle, now, sleep, log, onVerified: metrics.observeCaBundle() },
      verify: (pair, caBundle) => verifyPair(pair, host, caBundle),
    });
    return { ...held, names, readCaBundle };
  }
  const managed = await startManagedCertificates({
    ...{ api, log, now, sleep, random: Math.random, observer: metrics.observeManagedCertificates() },
    ...{ namespace: tls.namespace, podName: tls.podName, settings: tls.rotation },
  });
  const secret = `the Secret ${tls.namespace}/${WEBHOOK_NAME}`;
  return {
    ...managed,
    names: { certificate: `${secret} (certificate)`, key: `${secret} (key)` },
    readCaBundle: () => Promise.resolve(managed.isReady() ? managed.caBundle() : undefined),
  };
}

/** Serves each new certificate from the next connection on. */
export function followCertificate(certificates: Certificates, app: App, metrics: Metrics, log: Logger): void {
  const { names } = certificates;
  const tell = (message: string): void => {
    const { notBefore, notAfter: end } = readValidity(certificates.current().certificatePem);
    metrics.setCertificateLife(notBefore, end);
    const fields = { from: names.certificate, until: new Date(end).toISOString() };
    if (end > Date.now()) log.info(message, fields);
    else log.warn(`${message}, and it has expired: the API server will not accept it`, fields);
  };
  tell('the certificate is served');
  certificates.onChange((pair) => {
    app.useCertificate(pair);
    metrics.countCertificateReload('used');
    tell('a new certificate is served');
  });
  certificates.onRefusal((error) => {
    metrics.countCertificateReload('refused');
    log.error(`${error.message}; the certificate before it is still served`);
  });
}

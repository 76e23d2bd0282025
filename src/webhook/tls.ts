/** Opens the source of the webhook's certificate, and serves each new certificate that comes from it. */
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
import { epochMs, formatTime, type Now, type Sleep } from '../time.js';
import type { TlsConfig } from './config.js';
import type { Metrics } from './metrics.js';
import type { App } from './server.js';

export interface CertificateOptions {
  readonly tls: TlsConfig;
  readonly api: KubernetesApi;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now: Now;
  readonly sleep: Sleep;
}

export interface Certificates extends CertificateSource {
  /** Names of its two parts, for messages. */
  readonly names: PairNames;
  /** PEM with which the API servers verify the certificate; undefined until they can. */
  readonly readCaBundle: () => Promise<string | undefined>;
}

/** @throws ProductError `certificate` where files can't be used. Managed certificates are tried again until they come. */
export async function openCertificates(options: CertificateOptions): Promise<Certificates> {
  const { tls } = options;
  return tls.mode === 'files' ? openFiles(tls, options) : openManaged(tls, options);
}

type FilesConfig = Extract<TlsConfig, { mode: 'files' }>;
type ManagedConfig = Extract<TlsConfig, { mode: 'managed' }>;

async function openFiles(tls: FilesConfig, options: CertificateOptions): Promise<Certificates> {
  const { api, log, metrics, now, sleep } = options;
  const { certificateFile, keyFile, namespace } = tls;
  const source = await openCertificateFiles({ certificateFile, keyFile, sleep });
  const bundle = createCaBundle(api);
  const readCaBundle = async (): Promise<string | undefined> => (await bundle.read())?.caBundle;
  const names = { certificate: certificateFile, key: keyFile };
  // Outside of a cluster the name by which the webhook is called is unknown.
  if (namespace === undefined) return { ...source, names, readCaBundle };
  const host = webhookHost(namespace);
  const verified = createVerifiedSource({
    source,
    readCaBundle,
    now,
    sleep,
    log,
    onVerified: metrics.observeCaBundle(),
    verify: (pair, caBundle) => verifyPair(pair, host, caBundle),
  });
  return { ...verified, names, readCaBundle };
}

async function openManaged(tls: ManagedConfig, options: CertificateOptions): Promise<Certificates> {
  const { api, log, metrics, now, sleep } = options;
  const { namespace, podName, rotation } = tls;
  const managed = await startManagedCertificates({
    api,
    log,
    now,
    sleep,
    random: Math.random,
    observer: metrics.observeManagedCertificates(),
    namespace,
    podName,
    settings: rotation,
  });
  const secret = `the Secret ${namespace}/${WEBHOOK_NAME}`;
  return {
    ...managed,
    names: { certificate: `${secret} (certificate)`, key: `${secret} (key)` },
    readCaBundle: () => Promise.resolve(managed.isReady() ? managed.caBundle() : undefined),
  };
}

export interface FollowOptions {
  readonly certificates: Certificates;
  readonly app: Pick<App, 'useCertificate'>;
  readonly metrics: Pick<Metrics, 'setValidity' | 'countCertificateReload'>;
  readonly log: Logger;
  readonly now: Now;
}

/** Serves each new certificate from the next connection on. */
export function followCertificate({ certificates, app, metrics, log, now }: FollowOptions): void {
  const { names } = certificates;
  const report = (message: string): void => {
    const { notBefore, notAfter } = readValidity(certificates.current().certificatePem);
    const end = epochMs(notAfter);
    metrics.setValidity(epochMs(notBefore), end);
    const fields = { from: names.certificate, until: formatTime(end) };
    if (end > now()) log.info(message, fields);
    else log.warn(`${message}, and it has expired: the API server will not accept it`, fields);
  };
  report('the certificate is served');
  certificates.onChange((pair) => {
    app.useCertificate(pair);
    metrics.countCertificateReload('used');
    report('a new certificate is served');
  });
  certificates.onRefusal((error) => {
    metrics.countCertificateReload('refused');
    log.error(`${error.message}; the certificate before it is still served`);
  });
}

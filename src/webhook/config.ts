/** The webhook's configuration: read from the environment once, checked whole, frozen. */
import type { RotationSettings } from '../certificates/managed/source.js';
import { DEFAULT_HEALTH_PORT, DEFAULT_LISTEN_PORT, DRAIN_SECONDS, MANAGED_TLS, MAX_PORT } from '../defaults.js';
import { type Defaults, readDefaults } from '../inject/index.js';
import type { ConnectionSettings } from '../kubernetes/connection.js';
import { LOG_LEVELS, type LogLevel, TLS_MODES, WEBHOOK_ENV } from '../names.js';
import { readCommonName } from '../values/certificates.js';
import { type Environment, readSettings, type SettingReader } from '../values/environment.js';
import { readObjectName } from '../values/kubernetes.js';
import { readChoice, readList, readWhole } from '../values/readers.js';

export interface WebhookConfig {
  /** 0 means any free port; the log names it. */
  readonly listenPort: number;
  /** As `listenPort`. */
  readonly healthPort: number;
  readonly tls: TlsConfig;
  /** Undefined where whoever reaches the port is answered. */
  readonly clients: ClientConfig | undefined;
  readonly logLevel: LogLevel;
  /** From SIGTERM to the end of service. */
  readonly drainSeconds: number;
  readonly connection: ConnectionSettings;
  readonly defaults: Defaults;
}

/** Where the certificate comes from. */
export type TlsConfig =
  | {
      readonly mode: 'files';
      readonly certificateFile: string;
      readonly keyFile: string;
      /** Set where the webhook is behind a Service; undefined outside a cluster. */
      readonly namespace: string | undefined;
    }
  | {
      readonly mode: 'managed';
      readonly namespace: string;
      readonly podName: string;
      readonly rotation: RotationSettings;
    };

/** Which callers are answered: those with a client certificate of the API server's. */
export interface ClientConfig {
  /** Path of the PEM file of the authority. */
  readonly authorityFile: string;
  /** Common names that are accepted; with none, every certificate of the authority. */
  readonly commonNames: readonly string[];
}

const MAX_DAYS = 36_500;
const MAX_OVERLAP_SECONDS = 86_400;

/** @throws ConfigurationError with all that is wrong. */
export function readWebhookConfig(environment: Environment): WebhookConfig {
  return readSettings(environment, (settings): WebhookConfig => {
    const { read } = settings;
    const config: WebhookConfig = {
      listenPort: read(WEBHOOK_ENV.listenPort, readWhole(0, MAX_PORT, 'a port')) ?? DEFAULT_LISTEN_PORT,
      healthPort: read(WEBHOOK_ENV.healthPort, readWhole(0, MAX_PORT, 'a port')) ?? DEFAULT_HEALTH_PORT,
      tls: readTls(settings),
      clients: readClients(settings),
      logLevel: read(WEBHOOK_ENV.logLevel, readChoice(LOG_LEVELS)) ?? 'info',
      drainSeconds:
        read(WEBHOOK_ENV.drainSeconds, readWhole(0, DRAIN_SECONDS.max, 'a number of seconds')) ?? DRAIN_SECONDS.default,
      connection: readConnection(settings),
      defaults: readDefaults(settings, WEBHOOK_ENV),
    };
    if (config.listenPort === config.healthPort && config.listenPort !== 0) {
      settings.report(
        `${WEBHOOK_ENV.listenPort} and ${WEBHOOK_ENV.healthPort} are both ${config.listenPort}; set one of them to another port.`,
      );
    }
    return config;
  });
}

function readTls({ read, require }: SettingReader): TlsConfig {
  const mode = read(WEBHOOK_ENV.tlsMode, readChoice(TLS_MODES)) ?? 'files';
  if (mode === 'files') {
    return {
      mode,
      certificateFile: require(WEBHOOK_ENV.tlsCertFile, "the path of the server certificate's PEM file"),
      keyFile: require(WEBHOOK_ENV.tlsKeyFile, "the path of the PEM file with the certificate's private key"),
      namespace: read(WEBHOOK_ENV.namespace, readObjectName),
    };
  }
  const readDays = readWhole(1, MAX_DAYS, 'a number of days');
  const readOverlap = readWhole(0, MAX_OVERLAP_SECONDS, 'a number of seconds');
  return {
    mode,
    namespace: require(WEBHOOK_ENV.namespace, 'the namespace in which the webhook runs', readObjectName),
    podName: require(WEBHOOK_ENV.podName, 'the name of the pod in which the webhook runs', readObjectName),
    rotation: {
      caDays: read(WEBHOOK_ENV.caDays, readDays) ?? MANAGED_TLS.caDays,
      leafDays: read(WEBHOOK_ENV.leafDays, readDays) ?? MANAGED_TLS.leafDays,
      overlapSeconds: read(WEBHOOK_ENV.overlapSeconds, readOverlap) ?? MANAGED_TLS.overlapSeconds,
    },
  };
}

function readClients({ text, read, report }: SettingReader): ClientConfig | undefined {
  const authorityFile = text(WEBHOOK_ENV.clientCaFile);
  const commonNames = read(WEBHOOK_ENV.clientCommonNames, readList(readCommonName)) ?? [];
  if (authorityFile !== undefined) return { authorityFile, commonNames };
  if (commonNames.length > 0) {
    report(
      `${WEBHOOK_ENV.clientCommonNames} is set without ${WEBHOOK_ENV.clientCaFile}; set that to the path of the authority's PEM file.`,
    );
  }
  return undefined;
}

function readConnection({ text, report }: SettingReader): ConnectionSettings {
  const kubeconfig = text(WEBHOOK_ENV.kubeconfig);
  const serviceHost = text(WEBHOOK_ENV.serviceHost);
  const servicePort = text(WEBHOOK_ENV.servicePort);
  if (kubeconfig !== undefined) return { kind: 'kubeconfig', path: kubeconfig };
  if (serviceHost !== undefined && servicePort !== undefined) return { kind: 'pod', serviceHost, servicePort };
  report(
    `${WEBHOOK_ENV.kubeconfig} is missing, and the webhook does not run in a cluster; set it to the path of a kubeconfig file.`,
  );
  return { kind: 'kubeconfig', path: '' };
}

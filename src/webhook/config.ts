/** The webhook's configuration: read from the environment once, checked whole, frozen. */
import type { RotationSettings } from '../certificates/managed/source.js';
import { ConfigurationError } from '../errors.js';
import { type Defaults, readResources, STANDARD_DEFAULTS } from '../inject/index.js';
import type { ConnectionSettings } from '../kubernetes/connection.js';
import {
  DEFAULT_HEALTH_PORT,
  DEFAULT_LISTEN_PORT,
  DRAIN_SECONDS,
  LOG_LEVELS,
  type LogLevel,
  MANAGED_TLS,
  MAX_PORT,
  MIN_PORT,
  TLS_MODES,
  WEBHOOK_ENV,
} from '../names.js';
import { readClientId, readTenantId } from '../values/entra-ids.js';
import {
  createSettings,
  type Environment,
  readFlags,
  readNumber,
  readObjectName,
  readObjectNames,
  readOrigin,
  readPem,
  readProxy,
  readUser,
  type Settings,
} from '../values/environment.js';
import { readChoice } from '../values/readers.js';

export interface WebhookConfig {
  /** 0: one that is free, which the log names. */
  readonly listenPort: number;
  readonly healthPort: number;
  readonly tls: TlsConfig;
  readonly logLevel: LogLevel;
  /** Seconds from SIGTERM to the end of service. */
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
      /** Where it runs behind a Service; outside a cluster none. */
      readonly namespace: string | undefined;
    }
  | {
      readonly mode: 'managed';
      readonly namespace: string;
      readonly podName: string;
      readonly rotation: RotationSettings;
    };

const MAX_DAYS = 36_500;
const MAX_OVERLAP_SECONDS = 86_400;

/** @throws ConfigurationError with all that is wrong. */
export function readWebhookConfig(environment: Environment): WebhookConfig {
  const settings = createSettings(environment);
  const config: WebhookConfig = {
    listenPort: settings.read(WEBHOOK_ENV.listenPort, readNumber(0, MAX_PORT)) ?? DEFAULT_LISTEN_PORT,
    healthPort: settings.read(WEBHOOK_ENV.healthPort, readNumber(0, MAX_PORT)) ?? DEFAULT_HEALTH_PORT,
    tls: readTls(settings),
    logLevel: settings.read(WEBHOOK_ENV.logLevel, readChoice(LOG_LEVELS)) ?? 'info',
    drainSeconds: settings.read(WEBHOOK_ENV.drainSeconds, readNumber(0, DRAIN_SECONDS.max)) ?? DRAIN_SECONDS.default,
    connection: readConnection(settings),
    defaults: readDefaults(settings),
  };
  if (config.listenPort === config.healthPort && config.listenPort !== 0) {
    settings.problems.push(
      `${WEBHOOK_ENV.listenPort} and ${WEBHOOK_ENV.healthPort} are both ${config.listenPort}; they must differ.`,
    );
  }
  if (settings.problems.length > 0) throw new ConfigurationError(settings.problems);
  return Object.freeze(config);
}

function readTls(settings: Settings): TlsConfig {
  const { read, require } = settings;
  const mode = read(WEBHOOK_ENV.tlsMode, readChoice(TLS_MODES)) ?? 'files';
  if (mode === 'files') {
    return {
      mode,
      certificateFile: require(WEBHOOK_ENV.tlsCertFile, "the path of the server certificate's PEM file"),
      keyFile: require(WEBHOOK_ENV.tlsKeyFile, "the path of the PEM file with the certificate's private key"),
      namespace: read(WEBHOOK_ENV.namespace, readObjectName),
    };
  }
  return {
    mode,
    namespace: require(WEBHOOK_ENV.namespace, 'the namespace in which the webhook runs'),
    podName: require(WEBHOOK_ENV.podName, 'the name of its pod'),
    rotation: {
      caDays: read(WEBHOOK_ENV.caDays, readNumber(1, MAX_DAYS)) ?? MANAGED_TLS.caDays,
      leafDays: read(WEBHOOK_ENV.leafDays, readNumber(1, MAX_DAYS)) ?? MANAGED_TLS.leafDays,
      overlapSeconds:
        read(WEBHOOK_ENV.overlapSeconds, readNumber(0, MAX_OVERLAP_SECONDS)) ?? MANAGED_TLS.overlapSeconds,
    },
  };
}

function readConnection(settings: Settings): ConnectionSettings {
  const kubeconfig = settings.text(WEBHOOK_ENV.kubeconfig);
  const serviceHost = settings.text(WEBHOOK_ENV.serviceHost);
  const servicePort = settings.text(WEBHOOK_ENV.servicePort);
  if (kubeconfig !== undefined) return { kind: 'kubeconfig', path: kubeconfig };
  if (serviceHost !== undefined && servicePort !== undefined) return { kind: 'pod', serviceHost, servicePort };
  settings.problems.push(
    `${WEBHOOK_ENV.kubeconfig} is missing, and this is no pod in a cluster; set it to the path of a kubeconfig file.`,
  );
  return { kind: 'kubeconfig', path: '' };
}

function readDefaults(settings: Settings): Defaults {
  const standard = STANDARD_DEFAULTS;
  const { read } = settings;
  const runAsUser = read(WEBHOOK_ENV.sidecarRunAsUser, readUser);
  const optional = {
    imagePullPolicy: read(WEBHOOK_ENV.sidecarPullPolicy, readChoice(['Always', 'IfNotPresent', 'Never'] as const)),
    clientId: read(WEBHOOK_ENV.clientId, readClientId),
    tenantId: read(WEBHOOK_ENV.tenantId, readTenantId),
    httpsProxy: settings.readHidden(WEBHOOK_ENV.sidecarHttpsProxy, readProxy),
    noProxy: settings.text(WEBHOOK_ENV.sidecarNoProxy),
    extraCaPem: settings.readHidden(WEBHOOK_ENV.sidecarExtraCa, readPem),
    extraCaConfigMap: read(WEBHOOK_ENV.sidecarExtraCaConfigMap, readObjectName),
  };
  return {
    image: settings.require(
      WEBHOOK_ENV.sidecarImage,
      "the sidecar's image, such as registry.example/ado-git-identity:1.0.0",
    ),
    pullSecrets: read(WEBHOOK_ENV.sidecarPullSecrets, readObjectNames) ?? standard.pullSecrets,
    authorityHost: read(WEBHOOK_ENV.authorityHost, readOrigin) ?? standard.authorityHost,
    port: read(WEBHOOK_ENV.sidecarPort, readNumber(MIN_PORT, MAX_PORT)) ?? standard.port,
    runAsUser: runAsUser === undefined ? standard.runAsUser : runAsUser,
    resources: read(WEBHOOK_ENV.sidecarResources, readResources) ?? standard.resources,
    nodeFlags: read(WEBHOOK_ENV.sidecarNodeFlags, readFlags) ?? standard.nodeFlags,
    ...dropUndefined(optional),
  };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the keys whose value is undefined: a default that is not there is left out. */
function dropUndefined<T extends object>(record: T): Defined<T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Defined<T>;
}

/** Every name, path, port and limit that a user sees or another program relies on, in one place. */

/** What the product calls itself in logs, user agents and messages. */
export const PRODUCT = 'ado-git-identity';

/** The group in which all labels and annotations of the product's own live. */
export const GROUP = 'ado-git.workload.identity';

/** Label that a pod carries to be considered at all; shared with the Azure workload identity webhook. */
export const USE_LABEL = 'azure.workload.identity/use';
/** Label that an injected pod carries, for selectors and dashboards. */
export const INJECTED_LABEL = `${GROUP}/injected`;
/** Label by which a namespace opts in, with the value `enabled`; as an annotation of a pod, its own `enabled` or `disabled`. */
export const INJECT = `${GROUP}/inject`;
/** Annotation that the kubelet puts on the mirror of a static pod. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** Annotations that are read as the Azure workload identity webhook reads them. */
export const AZURE_ANNOTATION = {
  clientId: 'azure.workload.identity/client-id',
  tenantId: 'azure.workload.identity/tenant-id',
  tokenExpiration: 'azure.workload.identity/service-account-token-expiration',
  skipContainers: 'azure.workload.identity/skip-containers',
} as const;

/** Annotations of the group that people write, on a pod and (but for `inject`) on its service account. */
export const ANNOTATION = {
  inject: INJECT,
  clientId: `${GROUP}/client-id`,
  tenantId: `${GROUP}/tenant-id`,
  identities: `${GROUP}/identities`,
  mode: `${GROUP}/mode`,
  organizations: `${GROUP}/organizations`,
  projects: `${GROUP}/projects`,
  repositories: `${GROUP}/repositories`,
  access: `${GROUP}/access`,
  trust: `${GROUP}/trust`,
  containers: `${GROUP}/containers`,
  gitConfig: `${GROUP}/git-config`,
  startup: `${GROUP}/startup`,
  port: `${GROUP}/port`,
  sidecarResources: `${GROUP}/sidecar-resources`,
  logLevel: `${GROUP}/log-level`,
} as const;

/** Annotations of the group that injection writes. */
export const WRITTEN_ANNOTATION = {
  /** JSON; marks a pod that an earlier pass has injected. */
  status: `${GROUP}/status`,
  /** git's configuration; reaches the containers through the downward API. */
  gitconfig: `${GROUP}/gitconfig`,
  /** The credential helper, a shell script. */
  helper: `${GROUP}/helper`,
  /** The system's configuration with ours included, for the `system` channel. */
  gitconfigSystem: `${GROUP}/gitconfig-system`,
} as const;

/** Name of the injected native sidecar. */
export const SIDECAR_CONTAINER = PRODUCT;

/** Volumes that injection adds. */
export const VOLUME = {
  /** Projected service account token; mounted in the sidecar alone. */
  token: 'ado-git-token',
  /** Memory-backed: credentials and status, written by the sidecar alone. */
  state: 'ado-git',
  /** Downward API: git's configuration and the helper. */
  config: 'ado-git-config',
  /** Optional ConfigMap with certificate authorities for the sidecar. */
  extraCa: 'ado-git-extra-ca',
} as const;

/** Where the token volume is mounted in the sidecar. */
export const TOKEN_DIRECTORY = '/var/run/secrets/ado-git';
/** The projected token's file below {@link TOKEN_DIRECTORY}. */
export const TOKEN_FILE = 'token';
/** Where credentials and status are; whoever plays kubelet replaces this literal prefix and sets `ADO_GIT_DIRECTORY`. */
export const STATE_DIRECTORY = '/var/run/ado-git';
/** Where git's configuration is; whoever plays kubelet replaces this literal prefix. */
export const CONFIG_DIRECTORY = '/etc/ado-git';
/** Where the optional ConfigMap with certificate authorities is mounted in the sidecar. */
export const EXTRA_CA_DIRECTORY = '/etc/ado-git-ca';
/** Key of that ConfigMap. */
export const EXTRA_CA_KEY = 'ca.crt';

/** Files in {@link CONFIG_DIRECTORY}. */
export const CONFIG_FILE = { gitconfig: 'gitconfig', helper: 'helper', gitconfigSystem: 'gitconfig-system' } as const;

/** The system's git configuration, which the `file` channel covers. */
export const SYSTEM_GITCONFIG = '/etc/gitconfig';

/** Files in {@link STATE_DIRECTORY} beside the credential files. */
export const STATE_FILE = {
  /** What `/status` answers; for people and programs. */
  status: 'status.json',
  /** What the credential helper needs of it, a `key=value` a line, in a form that sh reads. */
  helper: 'state',
  /** Where the sidecar listens on host-network pods, whose ports are the node's. */
  socket: 'sidecar.sock',
} as const;

/**
 * Name of the credential file of one identity in {@link STATE_DIRECTORY}: the lines `username=`, `password=` and
 * `password_expiry_utc=` of git's credential protocol, mode 0644.
 */
export function credentialFileName(clientId: string, tenantId: string): string {
  return `credential-${clientId.toLowerCase()}-${tenantId.toLowerCase()}`;
}

/** Audience of the projected token, as Entra's federated credentials want it. */
export const TOKEN_AUDIENCE = 'api://AzureADTokenExchange';
/** Azure DevOps' application in Entra; the same in every tenant and cloud. */
export const AZURE_DEVOPS_APPLICATION_ID = '499b84ac-1321-427f-aa17-267ca6975798';
/** Scope that is asked for at Entra. */
export const AZURE_DEVOPS_SCOPE = `${AZURE_DEVOPS_APPLICATION_ID}/.default`;
/** User name that goes with the token; Azure DevOps takes any that is not empty. */
export const CREDENTIAL_USERNAME = PRODUCT;
/** Entra in Azure's public cloud. */
export const DEFAULT_AUTHORITY_HOST = 'https://login.microsoftonline.com';

/** The sidecar's port unless chart or annotation say otherwise. */
export const DEFAULT_SIDECAR_PORT = 8779;
export const MIN_PORT = 1024;
export const MAX_PORT = 65535;
/** User and group of the sidecar where the pod names none. */
export const DEFAULT_RUN_AS_USER = 65532;
/** Projected token lifetime, seconds. Entra refuses tokens that live longer than a day (AADSTS70023). */
export const TOKEN_LIFETIME = { default: 3600, min: 3600, max: 86400 } as const;
/** How long git, and containers under `startup: wait`, wait for the first token, seconds. */
export const FIRST_TOKEN_WAIT_SECONDS = 60;
/** git's configuration of a pod must fit into annotations, of which Kubernetes allows 256 KiB together. */
export const MAX_CONFIG_BYTES = 200 * 1024;
/** An admission warning is cut by the API server beyond this, characters. */
export const MAX_WARNING_LENGTH = 256;

/** Environment variables that the sidecar reads. */
export const SIDECAR_ENV = {
  clientId: 'ADO_GIT_CLIENT_ID',
  tenantId: 'ADO_GIT_TENANT_ID',
  authorityHost: 'ADO_GIT_AUTHORITY_HOST',
  tokenFile: 'ADO_GIT_TOKEN_FILE',
  directory: 'ADO_GIT_DIRECTORY',
  port: 'ADO_GIT_PORT',
  startup: 'ADO_GIT_STARTUP',
  organizations: 'ADO_GIT_ORGANIZATIONS',
  identities: 'ADO_GIT_IDENTITIES',
  mode: 'ADO_GIT_MODE',
  logLevel: 'ADO_GIT_LOG_LEVEL',
  /** PEM text, or the path of a file that holds it. */
  extraCa: 'ADO_GIT_EXTRA_CA',
  httpsProxy: 'HTTPS_PROXY',
  noProxy: 'NO_PROXY',
} as const;

/** Value of `ADO_GIT_PORT` under which the sidecar opens no port and listens on a socket in its directory. */
export const NO_PORT = 0;

/** Environment variables that the webhook reads; `KUBECONFIG` outside a cluster. */
export const WEBHOOK_ENV = {
  listenPort: 'ADO_GIT_LISTEN_PORT',
  healthPort: 'ADO_GIT_HEALTH_PORT',
  tlsCertFile: 'ADO_GIT_TLS_CERT_FILE',
  tlsKeyFile: 'ADO_GIT_TLS_KEY_FILE',
  sidecarImage: 'ADO_GIT_SIDECAR_IMAGE',
  clientId: 'ADO_GIT_CLIENT_ID',
  tenantId: 'ADO_GIT_TENANT_ID',
  authorityHost: 'ADO_GIT_AUTHORITY_HOST',
  logLevel: 'ADO_GIT_LOG_LEVEL',
  sidecarPort: 'ADO_GIT_SIDECAR_PORT',
  sidecarRunAsUser: 'ADO_GIT_SIDECAR_RUN_AS_USER',
  sidecarResources: 'ADO_GIT_SIDECAR_RESOURCES',
  sidecarPullPolicy: 'ADO_GIT_SIDECAR_PULL_POLICY',
  sidecarPullSecrets: 'ADO_GIT_SIDECAR_PULL_SECRETS',
  sidecarHttpsProxy: 'ADO_GIT_SIDECAR_HTTPS_PROXY',
  sidecarNoProxy: 'ADO_GIT_SIDECAR_NO_PROXY',
  sidecarExtraCa: 'ADO_GIT_SIDECAR_EXTRA_CA',
  sidecarExtraCaConfigMap: 'ADO_GIT_SIDECAR_EXTRA_CA_CONFIG_MAP',
  sidecarNodeFlags: 'ADO_GIT_SIDECAR_NODE_FLAGS',
  /** How long the webhook goes on serving after SIGTERM, until the endpoints have spread, seconds. */
  drainSeconds: 'ADO_GIT_DRAIN_SECONDS',
  kubeconfig: 'KUBECONFIG',
  /** The kubelet sets these two in every pod. */
  serviceHost: 'KUBERNETES_SERVICE_HOST',
  servicePort: 'KUBERNETES_SERVICE_PORT',
  /** `managed`: certificates of our own in a Secret; `files` (the default): those of `tlsCertFile` and `tlsKeyFile`. */
  tlsMode: 'ADO_GIT_TLS_MODE',
  /** Where the webhook runs: names its Service, and so the certificate, and holds its Secret. */
  namespace: 'ADO_GIT_NAMESPACE',
  podName: 'ADO_GIT_POD_NAME',
  caDays: 'ADO_GIT_CA_DAYS',
  leafDays: 'ADO_GIT_LEAF_DAYS',
  overlapSeconds: 'ADO_GIT_OVERLAP_SECONDS',
} as const;

export const DEFAULT_LISTEN_PORT = 9443;
export const DEFAULT_HEALTH_PORT = 8080;
export const DRAIN_SECONDS = { default: 5, max: 300 } as const;

/** Levels of the logs, from the quietest to the most talkative. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** When containers start, relative to the first token. */
export const STARTUPS = ['proceed', 'wait', 'require'] as const;
export type Startup = (typeof STARTUPS)[number];

/** How credentials reach programs. */
export const MODES = ['helper', 'gateway'] as const;
export type Mode = (typeof MODES)[number];

/** Where the program, the sidecar and node are in the image. */
export const IMAGE = { node: '/nodejs/bin/node', sidecar: '/app/sidecar.cjs' } as const;

/**
 * Flags of node for the sidecar. Measured by `npm run bench:sidecar`, anonymous memory after 15,000 probes and 150
 * exchanges: with them 9.3 MB (Node 20) and 12.6 MB (Node 24), without them 50 and 89 MB.
 */
export const SIDECAR_NODE_FLAGS = [
  '--lite-mode',
  '--expose-gc',
  '--max-semi-space-size=1',
  '--max-old-space-size=16',
] as const;

/** Environment of the sidecar's process that goes with {@link SIDECAR_NODE_FLAGS}: one malloc arena, one file thread. */
export const SIDECAR_PROCESS_ENV = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '1' } as const;

/** Namespaces that are never served, whatever the chart says. */
export const SYSTEM_NAMESPACES = ['kube-system', 'kube-node-lease'] as const;

/** Name of the webhook configuration, its Service and its Secret. */
export const WEBHOOK_NAME = `${PRODUCT}-webhook`;
/** The name by which API servers call the webhook in its namespace, and that its certificate must hold. */
export function webhookHost(namespace: string): string {
  return `${WEBHOOK_NAME}.${namespace}.svc`;
}
/** Name of the one webhook in the configuration. */
export const WEBHOOK_ENTRY = `inject.${GROUP}`;
/** Annotation on the webhook's Secret that starts a rotation, with the value `leaf` or `ca`; removed when it is done. */
export const ROTATE_ANNOTATION = `${GROUP}/rotate`;
/** Where the webhook's certificates come from. */
export const TLS_MODES = ['managed', 'files'] as const;
export type TlsMode = (typeof TLS_MODES)[number];
/** Defaults of managed certificates: days that authority and certificate live, seconds that bundles overlap. */
export const MANAGED_TLS = { caDays: 1825, leafDays: 90, overlapSeconds: 120 } as const;

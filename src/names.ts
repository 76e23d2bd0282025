/** Every name and path that a user sees or another program relies on, in one place. Defaults and limits are in defaults.ts. PURE. */

/** What the product calls itself in logs, user agents and messages. */
export const PRODUCT = 'ado-git-identity';

/** The group of all labels and annotations that are the product's own. */
export const GROUP = 'ado-git.workload.identity';

/** Label of pods that ask for an identity; shared with the Azure workload identity webhook. */
export const USE_LABEL = 'azure.workload.identity/use';
/** Label of injected pods, for selectors and dashboards. */
export const INJECTED_LABEL = `${GROUP}/injected`;
/** As a label of a namespace, `enabled` opts it in. As an annotation of a pod, `enabled` or `disabled` decides for that pod. */
export const INJECT = `${GROUP}/inject`;
/** Annotation that the kubelet sets on the mirror of a static pod. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** Annotations of the Azure workload identity webhook, read as it reads them. */
export const AZURE_ANNOTATION = {
  clientId: 'azure.workload.identity/client-id',
  tenantId: 'azure.workload.identity/tenant-id',
  tokenExpiration: 'azure.workload.identity/service-account-token-expiration',
  skipContainers: 'azure.workload.identity/skip-containers',
} as const;

/** Annotations of the group that users write on a pod or, except `inject`, on its service account. */
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
  /** JSON; marks a pod that an earlier pass of ours has injected. */
  status: `${GROUP}/status`,
  /** git's configuration, which the downward API mounts into the containers. */
  gitconfig: `${GROUP}/gitconfig`,
  /** The credential helper, a shell script. */
  helper: `${GROUP}/helper`,
  /** A configuration that includes the system's and ours, for the `system` channel. */
  gitconfigSystem: `${GROUP}/gitconfig-system`,
} as const;

/** Name of the injected native sidecar. */
export const SIDECAR_CONTAINER = PRODUCT;

/** Name of its port, by which a PodMonitor finds it whatever its number is. Kubernetes allows 15 characters. */
export const SIDECAR_PORT_NAME = 'ado-git-metrics';

/** Volumes that injection adds. */
export const VOLUME = {
  /** Projected service account token; mounted in the sidecar only. */
  token: 'ado-git-token',
  /** In memory: credentials and status, written by the sidecar only. */
  state: 'ado-git',
  /** Downward API: git's configuration and the helper. */
  config: 'ado-git-config',
  /** An optional ConfigMap with more certificate authorities for the sidecar. */
  extraCa: 'ado-git-extra-ca',
  /** Empty, and mounted in the sidecar where the API server would mount a Kubernetes API token. */
  noApiToken: 'ado-git-no-api-token',
} as const;
/** Their names. Marked as pure, so that the sidecar's bundle leaves them out. */
export const OUR_VOLUMES: ReadonlySet<string> = /* @__PURE__ */ new Set(/* @__PURE__ */ Object.values(VOLUME));

/** Where the token volume is mounted in the sidecar. */
export const TOKEN_DIRECTORY = '/var/run/secrets/ado-git';
/**
 * Where the API server's ServiceAccount admission mounts a token into each container that has no mount at this exact path.
 * The sidecar has one of its own, so that nothing is added to it after injection.
 */
export const API_TOKEN_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
/** File of the projected token in {@link TOKEN_DIRECTORY}. */
export const TOKEN_FILE = 'token';
/** Where credentials and status are. An emulated kubelet replaces this prefix with its own, and sets `ADO_GIT_DIRECTORY`. */
export const STATE_DIRECTORY = '/var/run/ado-git';
/** Where git's configuration is. An emulated kubelet replaces this prefix with its own. */
export const CONFIG_DIRECTORY = '/etc/ado-git';
/** Where the optional ConfigMap with certificate authorities is mounted in the sidecar. */
export const EXTRA_CA_DIRECTORY = '/etc/ado-git-ca';
/** Key of that ConfigMap, and name of its file. */
export const EXTRA_CA_KEY = 'ca.crt';

/** Files in {@link CONFIG_DIRECTORY}. */
export const CONFIG_FILE = { gitconfig: 'gitconfig', helper: 'helper', gitconfigSystem: 'gitconfig-system' } as const;

/** git's system configuration, over which the `file` channel mounts ours. */
export const SYSTEM_GITCONFIG = '/etc/gitconfig';

/** Files in {@link STATE_DIRECTORY} beside the credential files. */
export const STATE_FILE = {
  /** What `/status` answers, for people and programs. */
  status: 'status.json',
  /** What the credential helper needs of it: `key=value` lines that sh can read. */
  helper: 'state',
  /** Where the sidecar listens in pods on the host network, whose ports are the node's. */
  socket: 'sidecar.sock',
} as const;

/**
 * Name of the credential file of one identity in {@link STATE_DIRECTORY}: the lines `username=`, `password=` and
 * `password_expiry_utc=` of git's credential protocol, mode 0644.
 */
export function credentialFileName(clientId: string, tenantId: string): string {
  return `credential-${clientId.toLowerCase()}-${tenantId.toLowerCase()}`;
}

/** Audience of the projected token: the usual one of Entra's federated credentials. */
export const TOKEN_AUDIENCE = 'api://AzureADTokenExchange';
/** Azure DevOps' application in Entra; the same in every tenant and cloud. */
export const AZURE_DEVOPS_APPLICATION_ID = '499b84ac-1321-427f-aa17-267ca6975798';
/** Scope of the tokens that Entra is asked for. */
export const AZURE_DEVOPS_SCOPE = `${AZURE_DEVOPS_APPLICATION_ID}/.default`;
/** User name that git sends with the token; Azure DevOps accepts any that is not empty. */
export const CREDENTIAL_USERNAME = PRODUCT;

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
  /** PEM text, or the path of a file with it. */
  extraCa: 'ADO_GIT_EXTRA_CA',
  httpsProxy: 'HTTPS_PROXY',
  noProxy: 'NO_PROXY',
} as const;

/** With this `ADO_GIT_PORT` the sidecar opens no port, and listens on a socket in its directory. */
export const NO_PORT = 0;

/** Environment variables that the webhook reads. */
export const WEBHOOK_ENV = {
  listenPort: 'ADO_GIT_LISTEN_PORT',
  healthPort: 'ADO_GIT_HEALTH_PORT',
  tlsCertFile: 'ADO_GIT_TLS_CERT_FILE',
  tlsKeyFile: 'ADO_GIT_TLS_KEY_FILE',
  /** PEM of the authority whose client certificate callers must have. */
  clientCaFile: 'ADO_GIT_CLIENT_CA_FILE',
  clientCommonNames: 'ADO_GIT_CLIENT_COMMON_NAMES',
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
  /** How long the webhook still serves after SIGTERM, until every API server has the new endpoints. */
  drainSeconds: 'ADO_GIT_DRAIN_SECONDS',
  /** Outside a cluster. */
  kubeconfig: 'KUBECONFIG',
  /** The kubelet sets these two in every pod. */
  serviceHost: 'KUBERNETES_SERVICE_HOST',
  servicePort: 'KUBERNETES_SERVICE_PORT',
  /** `files` (the default): `tlsCertFile` and `tlsKeyFile`. `managed`: the webhook issues its own, and keeps them in a Secret. */
  tlsMode: 'ADO_GIT_TLS_MODE',
  /** The webhook's own namespace: it has the Service that the certificate names, and the Secret. */
  namespace: 'ADO_GIT_NAMESPACE',
  podName: 'ADO_GIT_POD_NAME',
  caDays: 'ADO_GIT_CA_DAYS',
  leafDays: 'ADO_GIT_LEAF_DAYS',
  overlapSeconds: 'ADO_GIT_OVERLAP_SECONDS',
} as const;

/** Log levels, from the fewest to the most messages. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Whether containers start before the first token; see `docs/annotations.md`. */
export const STARTUPS = ['proceed', 'wait', 'require'] as const;
export type Startup = (typeof STARTUPS)[number];

/** How programs are given credentials. */
export const MODES = ['helper', 'gateway'] as const;
export type Mode = (typeof MODES)[number];

/** Ways to point git at our configuration; `auto` chooses for each container. */
export const CHANNELS = ['env', 'system', 'file'] as const;
export type Channel = (typeof CHANNELS)[number];

/** Runtimes that can be made to trust the certificate authority of gateway mode. */
export const TRUSTS = ['git', 'go', 'node', 'python', 'java', 'openssl', 'system'] as const;

/** Where node and the sidecar's program are in the image. */
export const IMAGE = { node: '/nodejs/bin/node', sidecar: '/app/sidecar.cjs' } as const;
/** Folders of the image and of the kernel that decide what the sidecar's process is. */
export const IMAGE_DIRECTORIES = [
  '/app',
  '/bin',
  '/dev',
  '/etc',
  '/lib',
  '/lib64',
  '/nodejs',
  '/proc',
  '/sbin',
  '/sys',
  '/usr',
] as const;

/** Namespaces that are never served, whatever the chart's values are. */
export const SYSTEM_NAMESPACES = ['kube-system', 'kube-node-lease'] as const;

/** Name of the webhook configuration, its Service and its Secret. */
export const WEBHOOK_NAME = `${PRODUCT}-webhook`;
/** DNS name by which API servers call the webhook; its certificate must be for this name. */
export function webhookHost(namespace: string): string {
  return `${WEBHOOK_NAME}.${namespace}.svc`;
}
/** Name of the only webhook in that configuration. */
export const WEBHOOK_ENTRY = `inject.${GROUP}`;
/** Annotation on the webhook's Secret: `leaf` or `ca` starts a rotation, and is removed when that is done. */
export const ROTATE_ANNOTATION = `${GROUP}/rotate`;
/** Where the webhook's certificates come from. */
export const TLS_MODES = ['managed', 'files'] as const;

/** Defaults and limits that users see, each in one place: ports, users, lifetimes, waits, sizes and flags of node. PURE. */

/** Entra in Azure's public cloud. */
export const DEFAULT_AUTHORITY_HOST = 'https://login.microsoftonline.com';

/** The sidecar's port, unless the chart or an annotation sets another. */
export const DEFAULT_SIDECAR_PORT = 8779;

export const MIN_PORT = 1024;

export const MAX_PORT = 65535;

/** User of the sidecar where the pod sets none. */
export const DEFAULT_RUN_AS_USER = 65532;

/** Lifetime of the projected token. Entra refuses one that is valid for more than a day (AADSTS70023). */
export const TOKEN_LIFETIME_SECONDS = { default: 3600, min: 3600, max: 86400 } as const;

/** How long git, and containers under `startup: wait`, wait for the first token. */
export const FIRST_TOKEN_WAIT_SECONDS = 60;

/** Limit of git's configuration in a pod's annotations. */
export const MAX_CONFIG_BYTES = 200 * 1024;

/** Kubernetes' limit of all annotations of an object together, keys and values (apimachinery, validation/objectmeta.go). */
export const MAX_ANNOTATIONS_BYTES = 256 * 1024;

/** Limit of the value of one annotation that is read, in characters: of `projects`, room for some 400. */
export const MAX_ANNOTATION_LENGTH = 16 * 1024;

/** The API server cuts an admission warning that has more characters. */
export const MAX_WARNING_LENGTH = 256;

export const DEFAULT_LISTEN_PORT = 9443;

export const DEFAULT_HEALTH_PORT = 8080;

/** The chart sets 10: behind a Service, every node and API server must learn that the endpoint is gone. */
export const DRAIN_SECONDS = { default: 5, max: 300 } as const;

/**
 * Flags of node for the sidecar. They save memory: after 15,000 probes and 150 exchanges, `npm run bench:sidecar` measures
 * 9.3 MB (Node 20) and 12.6 MB (Node 24) of anonymous memory, without them 50 and 89 MB.
 */
export const SIDECAR_NODE_FLAGS = [
  '--lite-mode',
  '--expose-gc',
  '--max-semi-space-size=1',
  '--max-old-space-size=16',
] as const;

/** Variables that save more memory in the sidecar: one malloc arena, one thread for files. */
export const SIDECAR_PROCESS_ENV = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '1' } as const;

/** Defaults of managed certificates. The overlap is from the caBundle that verifies a new certificate to the certificate's use. */
export const MANAGED_TLS = { caDays: 1825, leafDays: 90, overlapSeconds: 120 } as const;

/** The sidecar's configuration: read from the environment once, checked whole, frozen. */
import { DEFAULT_AUTHORITY_HOST, DEFAULT_SIDECAR_PORT, MAX_PORT, MIN_PORT } from '../defaults.js';
import type { Identity } from '../entra/identity.js';
import { readOrganizationName } from '../git/naming-rules.js';
import {
  LOG_LEVELS,
  type LogLevel,
  type Mode,
  MODES,
  NO_PORT,
  SIDECAR_ENV,
  type Startup,
  STARTUPS,
  STATE_DIRECTORY,
  TOKEN_DIRECTORY,
  TOKEN_FILE,
} from '../names.js';
import { readCertificates } from '../values/certificates.js';
import { readClientId, readTenantId } from '../values/entra-ids.js';
import { type Environment, readSettings, type SettingReader } from '../values/environment.js';
import { readChoice, type Reader, readList, readOr, readWhole } from '../values/readers.js';
import { type Proxy, readOrigin, readProxy } from '../values/urls.js';
import { bypassesProxy } from './proxy.js';

export interface SidecarConfig {
  readonly identity: Identity;
  readonly tokenFile: string;
  readonly directory: string;
  /** {@link NO_PORT}: a socket in the directory instead. */
  readonly port: number;
  readonly startup: Startup;
  readonly mode: Mode;
  /** Shown in the status; the limit itself is in git's configuration. */
  readonly organizations: readonly string[];
  readonly logLevel: LogLevel;
  readonly extraCa: ExtraCa | undefined;
  /** On the way to the authority; `NO_PROXY` has already been applied. */
  readonly proxy: Proxy | undefined;
}

/** Certificate authorities in addition to node's own. */
export type ExtraCa = { readonly kind: 'pem'; readonly pem: string } | { readonly kind: 'file'; readonly path: string };

/** @throws ConfigurationError with all that is wrong. */
export function readSidecarConfig(environment: Environment): SidecarConfig {
  return readSettings(environment, (settings): SidecarConfig => {
    const { read, text } = settings;
    const identity = readIdentity(settings);
    read(SIDECAR_ENV.identities, refuseIdentities);
    return {
      identity,
      tokenFile: text(SIDECAR_ENV.tokenFile) ?? `${TOKEN_DIRECTORY}/${TOKEN_FILE}`,
      ...readPlace(settings),
      startup: read(SIDECAR_ENV.startup, readChoice(STARTUPS)) ?? 'proceed',
      mode: read(SIDECAR_ENV.mode, readMode) ?? 'helper',
      organizations: read(SIDECAR_ENV.organizations, readList(readOrganizationName)) ?? [],
      logLevel: read(SIDECAR_ENV.logLevel, readChoice(LOG_LEVELS)) ?? 'info',
      extraCa: read(SIDECAR_ENV.extraCa, readExtraCa),
      proxy: readProxyTo(identity.authority, settings),
    };
  });
}

/** Where the sidecar listens; also for the probe, which is a process of its own. */
export function readPlace({ read, text }: SettingReader): Pick<SidecarConfig, 'directory' | 'port'> {
  const readPort = readOr(String(NO_PORT), NO_PORT, readWhole(MIN_PORT, MAX_PORT, 'a port'));
  return {
    directory: (text(SIDECAR_ENV.directory) ?? STATE_DIRECTORY).replace(/(?<=[^/])\/+$/, ''),
    port: read(SIDECAR_ENV.port, readPort) ?? DEFAULT_SIDECAR_PORT,
  };
}

function readIdentity({ read, require }: SettingReader): Identity {
  return {
    clientId: require(SIDECAR_ENV.clientId, 'the client id (a GUID) of the managed identity or app registration', readClientId),
    tenantId: require(SIDECAR_ENV.tenantId, 'the tenant id (a GUID) or a verified domain of the tenant', readTenantId),
    authority: read(SIDECAR_ENV.authorityHost, readOrigin) ?? DEFAULT_AUTHORITY_HOST,
  };
}

const readMode: Reader<Mode> = (text) =>
  text === 'gateway' ? { problem: 'is not available yet; leave it out or set it to helper' } : readChoice(MODES)(text);

const refuseIdentities: Reader<never> = () => ({
  problem: 'asks for more than one identity, which is not available yet; leave it out',
});

const readExtraCa: Reader<ExtraCa> = (text) => {
  // Text before the first block is a comment, as openssl writes them.
  if (!text.includes('-----BEGIN ')) return { value: { kind: 'file', path: text } };
  const reading = readCertificates(text);
  return 'value' in reading ? { value: { kind: 'pem', pem: reading.value } } : reading;
};

/** The proxy on the way to the authority: `undefined` where there is none, or `NO_PROXY` names the authority. */
function readProxyTo(authority: string, { read, text }: SettingReader): Proxy | undefined {
  const findSpelling = (name: string): string => (text(name) === undefined ? name.toLowerCase() : name);
  const proxy = read(findSpelling(SIDECAR_ENV.httpsProxy), readProxy);
  const noProxy = text(findSpelling(SIDECAR_ENV.noProxy)) ?? '';
  return bypassesProxy(noProxy, new URL(authority)) ? undefined : proxy;
}

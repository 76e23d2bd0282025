/** The sidecar's configuration: read from the environment once, checked whole, frozen. */
import { X509Certificate } from 'node:crypto';
import type { Identity } from '../entra/identity.js';
import { ConfigurationError, describeError } from '../errors.js';
import { isOrganizationName } from '../git/naming-rules.js';
import {
  DEFAULT_AUTHORITY_HOST,
  DEFAULT_SIDECAR_PORT,
  LOG_LEVELS,
  type LogLevel,
  MAX_PORT,
  MIN_PORT,
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
import { isGuid, isTenant } from '../values/entra-ids.js';
import type { Environment } from '../values/environment.js';
import { bypassesProxy, parseProxy, type Proxy } from './proxy.js';

export interface SidecarConfig {
  readonly identity: Identity;
  readonly tokenFile: string;
  readonly directory: string;
  /** {@link NO_PORT}: a socket in the directory instead. */
  readonly port: number;
  readonly startup: Startup;
  readonly mode: Mode;
  /** Shown in the status; the limit itself stands in git's configuration. */
  readonly organizations: readonly string[];
  readonly logLevel: LogLevel;
  readonly extraCa: ExtraCa | undefined;
  /** Of the way to the authority; `NO_PROXY` is already weighed. */
  readonly proxy: Proxy | undefined;
}

/** Authorities beside node's own. */
export type ExtraCa = { readonly kind: 'pem'; readonly pem: string } | { readonly kind: 'file'; readonly path: string };

/** @throws ConfigurationError with all that is wrong. */
export function readSidecarConfig(environment: Environment): SidecarConfig {
  const problems: string[] = [];
  const read = (name: string): string | undefined => {
    const value = environment[name]?.trim();
    return value === '' ? undefined : value;
  };
  const report = (problem: string): void => void problems.push(problem);
  const choose = <T extends string>(name: string, choices: readonly T[], fallback: T): T => {
    const value = read(name) ?? fallback;
    const choice = choices.find((candidate) => candidate === value);
    if (choice === undefined) report(`${name} is ${show(value)}; it must be one of ${choices.join(', ')}.`);
    return choice ?? fallback;
  };
  const identity = readIdentity(read, report);
  const mode = choose(SIDECAR_ENV.mode, MODES, 'helper');
  if (mode === 'gateway')
    report(`${SIDECAR_ENV.mode} is "gateway", which is not available yet; leave it out or set it to helper.`);
  if (read(SIDECAR_ENV.identities) !== undefined) {
    report(`${SIDECAR_ENV.identities} is set, but more than one identity is not available yet; leave it out.`);
  }
  const config: SidecarConfig = {
    identity,
    tokenFile: read(SIDECAR_ENV.tokenFile) ?? `${TOKEN_DIRECTORY}/${TOKEN_FILE}`,
    directory: (read(SIDECAR_ENV.directory) ?? STATE_DIRECTORY).replace(/(?<=.)\/+$/, ''),
    port: readPort(read(SIDECAR_ENV.port), report),
    startup: choose(SIDECAR_ENV.startup, STARTUPS, 'proceed'),
    mode,
    organizations: readOrganizations(read(SIDECAR_ENV.organizations), report),
    logLevel: choose(SIDECAR_ENV.logLevel, LOG_LEVELS, 'info'),
    extraCa: readExtraCa(read(SIDECAR_ENV.extraCa), report),
    proxy: readProxy(read, identity.authority, report),
  };
  if (problems.length > 0) throw new ConfigurationError(problems);
  return Object.freeze(config);
}

type Read = (name: string) => string | undefined;
type Report = (problem: string) => void;

function readIdentity(read: Read, report: Report): Identity {
  const clientId = read(SIDECAR_ENV.clientId);
  const tenantId = read(SIDECAR_ENV.tenantId);
  if (clientId === undefined) {
    report(
      `${SIDECAR_ENV.clientId} is missing; set it to the client id (a GUID) of the managed identity or app registration.`,
    );
  } else if (!isGuid(clientId)) {
    report(`${SIDECAR_ENV.clientId} is ${show(clientId)}, which is no GUID; set it to the client id of the identity.`);
  }
  if (tenantId === undefined) {
    report(`${SIDECAR_ENV.tenantId} is missing; set it to the tenant id (a GUID) or a verified domain of the tenant.`);
  } else if (!isTenant(tenantId)) {
    report(
      `${SIDECAR_ENV.tenantId} is ${show(tenantId)}, which is neither a GUID nor a domain; set it to the tenant id.`,
    );
  }
  return {
    clientId: clientId ?? '',
    tenantId: tenantId ?? '',
    authority: readAuthority(read(SIDECAR_ENV.authorityHost), report),
  };
}

function readAuthority(value: string | undefined, report: Report): string {
  if (value === undefined) return DEFAULT_AUTHORITY_HOST;
  const url = parseUrl(value);
  if (url?.protocol === 'https:' && /^https:\/\/[^/?#@\\]+\/*$/i.test(value)) return url.origin;
  report(
    `${SIDECAR_ENV.authorityHost} is ${value.includes('@') ? 'not usable (not shown, as it may hold a password)' : show(value)}; it must be an https origin without path, query or password, such as ${DEFAULT_AUTHORITY_HOST}.`,
  );
  return DEFAULT_AUTHORITY_HOST;
}

/** Also for the probe, which is a process of its own. */
export function readPort(value: string | undefined, report: Report): number {
  if (value === undefined) return DEFAULT_SIDECAR_PORT;
  const port = /^\d{1,5}$/.test(value) ? Number(value) : -1;
  if (port === NO_PORT || (port >= MIN_PORT && port <= MAX_PORT)) return port;
  report(
    `${SIDECAR_ENV.port} is ${show(value)}; it must be a number from ${MIN_PORT} to ${MAX_PORT}, or ${NO_PORT} for no port.`,
  );
  return DEFAULT_SIDECAR_PORT;
}

function readOrganizations(value: string | undefined, report: Report): readonly string[] {
  const names = (value ?? '').split(',').map((name) => name.trim());
  const wrong = value === undefined ? undefined : names.find((name) => !isOrganizationName(name));
  if (wrong !== undefined) {
    report(`${SIDECAR_ENV.organizations} holds ${show(wrong)}, which is not the name of an organization.`);
  }
  return value === undefined ? [] : names;
}

function readExtraCa(value: string | undefined, report: Report): ExtraCa | undefined {
  if (value === undefined) return undefined;
  // Text before the first block is a comment, as openssl writes them.
  if (!value.includes('-----BEGIN ')) return { kind: 'file', path: value };
  try {
    checkAuthorities(value);
    return { kind: 'pem', pem: value };
  } catch (error) {
    report(
      `${SIDECAR_ENV.extraCa} looks like PEM but holds no certificate that can be read (${describeError(error)}); set it to PEM certificates or to a file's path.`,
    );
    return undefined;
  }
}

/** Throws where the text holds no certificate, or one that can't be read. */
export function checkAuthorities(pem: string): void {
  for (const certificate of pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [pem]) {
    new X509Certificate(certificate);
  }
}

function readProxy(read: Read, authority: string, report: Report): Proxy | undefined {
  const name = SIDECAR_ENV.httpsProxy;
  const value = read(name) ?? read(name.toLowerCase());
  if (value === undefined) return undefined;
  const proxy = parseProxy(value);
  if (proxy === undefined) {
    // The value is not shown: it may hold a password.
    report(
      `${name} must be http://HOST:PORT, without user name, password and path; a proxy that wants a password is not supported.`,
    );
    return undefined;
  }
  const noProxy = read(SIDECAR_ENV.noProxy) ?? read(SIDECAR_ENV.noProxy.toLowerCase()) ?? '';
  return bypassesProxy(noProxy, new URL(authority)) ? undefined : proxy;
}

function parseUrl(value: string): URL | undefined {
  try {
    return new URL(value);
  } catch {
    return undefined;
  }
}

/** A value as it is shown in a problem: one line, cut. */
function show(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}

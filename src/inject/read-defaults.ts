/** Reads what an installation decides for every pod, from settings of any names. PURE. */
import { MAX_PORT, MIN_PORT } from '../defaults.js';
import type { WEBHOOK_ENV } from '../names.js';
import { readCertificates } from '../values/certificates.js';
import { readClientId, readTenantId } from '../values/entra-ids.js';
import type { SettingReader } from '../values/environment.js';
import { readNodeFlags, readObjectName, readUserId } from '../values/kubernetes.js';
import { keepText, readChoice, readList, readWhole } from '../values/readers.js';
import { readOrigin, readProxy } from '../values/urls.js';
import { readResources } from './annotation-readers.js';
import { type Defaults, STANDARD_DEFAULTS } from './settings.js';

/** What users call each of these settings: a variable of the webhook, or a value of the chart. */
export type DefaultsNames = Readonly<
  Record<Extract<keyof typeof WEBHOOK_ENV, `sidecar${string}`> | 'clientId' | 'tenantId' | 'authorityHost', string>
>;

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const;

/** What is not set has the standard value; the image has none. */
export function readDefaults({ read, require, text }: SettingReader, names: DefaultsNames): Defaults {
  const standard = STANDARD_DEFAULTS;
  const runAsUser = read(names.sidecarRunAsUser, readUserId);
  return {
    image: require(names.sidecarImage, "the sidecar's image, such as registry.example/ado-git-identity:1.0.0"),
    imagePullPolicy: read(names.sidecarPullPolicy, readChoice(PULL_POLICIES)),
    pullSecrets: read(names.sidecarPullSecrets, readList(readObjectName)) ?? standard.pullSecrets,
    clientId: read(names.clientId, readClientId),
    tenantId: read(names.tenantId, readTenantId),
    authorityHost: read(names.authorityHost, readOrigin) ?? standard.authorityHost,
    port: read(names.sidecarPort, readWhole(MIN_PORT, MAX_PORT, 'a port')) ?? standard.port,
    runAsUser: runAsUser === undefined ? standard.runAsUser : runAsUser,
    resources: read(names.sidecarResources, readResources) ?? standard.resources,
    httpsProxy: read(names.sidecarHttpsProxy, keepText(readProxy)),
    noProxy: text(names.sidecarNoProxy),
    extraCaPem: read(names.sidecarExtraCa, readCertificates),
    extraCaConfigMap: read(names.sidecarExtraCaConfigMap, readObjectName),
    nodeFlags: read(names.sidecarNodeFlags, readNodeFlags) ?? standard.nodeFlags,
  };
}

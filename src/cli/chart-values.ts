/**
 * Reads a values file of the chart, as `helm install --values` and `helm get values --all` have it: what the webhook would use
 * for each pod, and which namespaces it would serve. The chart's templates say the same in their language.
 */
import { ProductError } from '../errors.js';
import { type Defaults, type DefaultsNames, readDefaults, STANDARD_DEFAULTS } from '../inject/index.js';
import { PRODUCT } from '../names.js';
import { type Environment, readSettings } from '../values/environment.js';
import { isObject } from '../values/json.js';
import { VERSION } from '../version.js';
import { type NamespaceRule, readNamespaceRule } from './namespace-rule.js';
import { readField } from './pod-templates.js';
import { readYaml } from './yaml-read.js';

export interface ChartValues {
  readonly defaults: Defaults;
  readonly namespaceRule: NamespaceRule;
}

const NAMES = {
  clientId: 'azure.clientId',
  tenantId: 'azure.tenantId',
  authorityHost: 'azure.authorityHost',
  sidecarImage: 'sidecar.image',
  sidecarPullPolicy: 'sidecar.image.pullPolicy',
  sidecarPullSecrets: 'sidecar.pullSecrets',
  sidecarPort: 'sidecar.port',
  sidecarRunAsUser: 'sidecar.runAsUser',
  sidecarResources: 'sidecar.resources',
  sidecarHttpsProxy: 'sidecar.proxy.httpsProxy',
  sidecarNoProxy: 'sidecar.proxy.noProxy',
  sidecarExtraCa: 'sidecar.extraCa.pem',
  sidecarExtraCaConfigMap: 'sidecar.extraCa.configMapName',
  sidecarNodeFlags: 'sidecar.nodeFlags',
} as const satisfies DefaultsNames;

/** As in the chart's values.yaml. */
const CHART_IMAGE = { repository: `${PRODUCT}/${PRODUCT}`, pullPolicy: 'IfNotPresent' } as const;

/**
 * @param file for messages.
 * @throws ProductError `document` where it is not YAML, ConfigurationError with every value that is wrong.
 */
export function readChartValues(text: string, file: string): ChartValues {
  const values = parseValues(text, file);
  const find = (path: string): unknown => readField(values, ...path.split('.'));
  const environment: Record<string, string | undefined> = {};
  for (const path of Object.values(NAMES)) environment[path] = writeSetting(find(path));
  Object.assign(environment, {
    [NAMES.sidecarImage]: composeImage(find),
    [NAMES.sidecarPullPolicy]: firstText(
      find(NAMES.sidecarPullPolicy),
      find('image.pullPolicy'),
      CHART_IMAGE.pullPolicy,
    ),
    [NAMES.sidecarNodeFlags]: writeList(find(NAMES.sidecarNodeFlags), ' '),
    [NAMES.sidecarPullSecrets]: writeList(find(NAMES.sidecarPullSecrets), ','),
    [NAMES.sidecarResources]: JSON.stringify(mergeResources(find(NAMES.sidecarResources))),
    // The chart leaves the field out for a null, and has a user where nothing is written.
    [NAMES.sidecarRunAsUser]:
      find(NAMES.sidecarRunAsUser) === null ? 'none' : writeSetting(find(NAMES.sidecarRunAsUser)),
  } satisfies Environment);
  return readSettings(environment, (settings) => ({
    defaults: readDefaults(settings, NAMES),
    namespaceRule: readNamespaceRule(find('webhook'), settings.report),
  }));
}

function parseValues(text: string, file: string): Readonly<Record<string, unknown>> {
  const { value: values = {}, error } = readYaml(text);
  if (error !== undefined) {
    const line = text.slice(0, error.position).split('\n').length;
    throw new ProductError('document', `${file}, line ${line}: ${error.message}`);
  }
  if (!isObject(values)) throw new ProductError('document', `${file} is not a mapping; it has values of the chart`);
  return values;
}

/** Null is what the chart takes for unset. */
function writeSetting(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function writeList(value: unknown, separator: string): string | undefined {
  return Array.isArray(value) ? value.map(writeSetting).join(separator) : writeSetting(value);
}

function firstText(...values: readonly unknown[]): string {
  return values.map((value) => writeSetting(value) ?? '').find((text) => text !== '') ?? '';
}

/** If the sidecar has its own repository, tag or digest, neither tag nor digest of the webhook's image is used. */
function composeImage(find: (path: string) => unknown): string {
  const read = (room: string) => ({
    repository: firstText(find(`${room}.repository`)),
    tag: firstText(find(`${room}.tag`)),
    digest: firstText(find(`${room}.digest`)),
  });
  const [own, common] = [read('sidecar.image'), read('image')];
  const { tag, digest } = own.repository + own.tag + own.digest === '' ? common : own;
  const repository = firstText(own.repository, common.repository, CHART_IMAGE.repository);
  return digest === '' ? `${repository}:${firstText(tag, VERSION)}` : `${repository}@${digest}`;
}

/** Helm merges mappings with those of the chart; a null removes a key. */
function mergeResources(value: unknown): unknown {
  if (value === undefined) return STANDARD_DEFAULTS.resources;
  if (!isObject(value)) return value ?? {};
  const sections = { ...STANDARD_DEFAULTS.resources, ...value };
  return dropNulls(
    Object.fromEntries(
      Object.entries(sections).map(([name, section]) => {
        const standard = readField(STANDARD_DEFAULTS.resources, name);
        return [name, isObject(section) && isObject(standard) ? dropNulls({ ...standard, ...section }) : section];
      }),
    ),
  );
}

function dropNulls(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null));
}

/** Every value of the chart, with strings that a template or YAML could take for something else. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { WEBHOOK_ENV } from '../src/names.js';
import {
  at,
  CHART,
  find,
  helm,
  type KubernetesObject,
  NAMESPACE,
  options,
  readObjects,
  render,
} from './support/chart.js';

type Tree = Record<string, unknown>;

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | false;
  readonly propertyNames?: Schema;
  readonly items?: Schema;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly type?: string | readonly string[];
}

/** Where a string can be written: the path to a value, or to a map that gets the string as a `key`. */
interface Place {
  readonly path: readonly (string | number)[];
  /** Whether the schema restricts it. */
  readonly key: 'free' | 'checked' | undefined;
}

const FREE: Schema = { type: 'string' };

const root = JSON.parse(readFileSync(`${CHART}/values.schema.json`, 'utf8')) as Schema;

/** All places of a schema, but those with a choice of known values. */
function findPlaces(schema: Schema, path: Place['path'] = []): Place[] {
  const { $ref, properties, items, allOf } = schema;
  if ($ref !== undefined) return findPlaces(root.$defs?.[$ref.replace('#/$defs/', '')] ?? {}, path);
  if (allOf !== undefined) return allOf.flatMap((part) => findPlaces(part, path));
  if (items !== undefined) return findPlaces(items, [...path, 0]);
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([key, inner]) => findPlaces(inner, [...path, key]));
  }
  if (schema.type === 'object') return findPlacesOfMap(schema, path);
  const isOpen = schema.enum === undefined && (schema.type !== undefined || schema.anyOf !== undefined);
  return isOpen ? [{ path, key: undefined }] : [];
}

function findPlacesOfMap({ additionalProperties, propertyNames }: Schema, path: Place['path']): Place[] {
  const inner = additionalProperties === undefined || additionalProperties === false ? FREE : additionalProperties;
  return [{ path, key: propertyNames === undefined ? 'free' : 'checked' }, ...findPlaces(inner, [...path, 'key'])];
}

const places = findPlaces(root);

/** What is valid in a place that takes strings: the first of these. */
const SAMPLES = [
  'sample',
  'Sample',
  '7m',
  '11111111-2222-3333-4444-555555555555',
  'https://sample.test',
  'http://sample:3128',
  '--sample=1',
  '-----BEGIN CERTIFICATE-----',
];

const CODE = '{{ add 40123 1 }}';
const ALONE = [
  ...['true', 'no', 'null', '~', '1', '0x1f', '1e3', '.nan', '2026-01-01', '12:30:45'],
  ...['"', "'", '- a', '? a', ':', 'a: b', '#', '&a', '*a', '!!int 1', '|', '@a', '{a: b}', '[a]', '---'],
  ...[' ', '\n', '\u0000', CODE, '{{'],
];
const AFFIXES = ['\nkey: value', '\n---\nkind: Secret', '": a #', "': a #", '\\', `"${CODE}"`];
/** From a valid string to a hostile one. */
const VARIANTS: readonly ((sample: string) => string)[] = [
  ...ALONE.map((text) => () => text),
  ...AFFIXES.map((text) => (sample: string) => `${sample}${text}`),
  ...AFFIXES.map((text) => (sample: string) => `${text}${sample}`),
];

/** The modes that have values of their own; managed certificates have only numbers. */
const MODES = ['provided', 'cert-manager'];
function createValues(mode: string): Tree {
  const enabled = { enabled: true };
  return {
    tls: { mode },
    metrics: {
      serviceMonitor: { ...enabled },
      podMonitor: { ...enabled },
      prometheusRule: { ...enabled },
      dashboard: { ...enabled },
    },
    networkPolicy: { ...enabled },
    webhook: { namespaceSelector: { matchExpressions: [{ key: 'sample', operator: 'In', values: ['sample'] }] } },
  };
}

function write(values: Tree, { path, key: asKey }: Place, text: string): void {
  const keys = asKey === undefined ? path : [...path, text];
  let inner = values;
  keys.slice(0, -1).forEach((key, index) => {
    inner = (inner[key] ??= typeof keys[index + 1] === 'number' ? [] : {}) as Tree;
  });
  inner[String(keys.at(-1))] = asKey === undefined ? text : 'sample';
}

function fill(values: Tree, texts: ReadonlyMap<Place, string>): Tree {
  for (const [place, text] of texts) write(values, place, text);
  return values;
}

/** Of two values that exclude each other, each mode has one. */
function dropOther(values: Tree, mode: string): Tree {
  const { clientCa } = values['webhook'] as { clientCa: Tree };
  Reflect.deleteProperty(clientCa, mode === 'provided' ? 'configMapName' : 'pem');
  return values;
}

const NAMED = /at '([^']*)'/g;

/** The same objects without their strings: what is left is structure. */
function readShape(value: unknown, ownKeys: ReadonlySet<string>): unknown {
  if (typeof value === 'string') return 'a string';
  if (Array.isArray(value)) return value.map((item) => readShape(item, ownKeys));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [
    ownKeys.has(key) ? 'a key of the values' : key,
    readShape(inner, ownKeys),
  ]);
  return Object.fromEntries(entries.sort(([a], [b]) => String(a).localeCompare(String(b)))) as unknown;
}

void t.test('a string in any value is refused, or stays a string', options, (t) => {
  const file = join(t.testdir(), 'values.json');
  const run = (values: Tree): ReturnType<typeof helm> => {
    writeFileSync(file, JSON.stringify(values));
    return helm('template', 'a-release', CHART, '--namespace', NAMESPACE, '--kube-version', '1.31.0', '--values', file);
  };
  /** Those of these places whose string the schema accepts. helm names all that it refuses: values by path, keys without. */
  const findAccepted = (texts: ReadonlyMap<Place, string>): Place[] => {
    const { stderr } = run(fill(createValues('provided'), texts));
    const named = new Set([...stderr.matchAll(NAMED)].map((match) => match[1]));
    const isKeyRefused = stderr.includes('invalid propertyName');
    return [...texts.keys()].filter(({ path, key }) =>
      key === undefined ? !named.has(`/${path.join('/')}`) : key === 'free' || !isKeyRefused,
    );
  };

  const samples = new Map<Place, string>();
  for (const sample of SAMPLES) {
    const left = places.filter((place) => !samples.has(place));
    for (const place of findAccepted(new Map(left.map((place) => [place, sample])))) samples.set(place, sample);
  }
  const withStrings = [...samples.keys()].map(({ path }) => path.join('.'));
  for (const path of ['tls.certManager.issuerRef.kind', 'sidecar.proxy.noProxy', 'webhook.affinity.key']) {
    t.ok(withStrings.includes(path), path);
  }

  const wanted = new Map<string, unknown>();
  for (const mode of MODES) {
    const { status, stdout, stderr } = run(dropOther(fill(createValues(mode), samples), mode));
    t.equal(status, 0, stderr);
    wanted.set(mode, readShape(readObjects(stdout), new Set(SAMPLES)));
  }
  for (const vary of VARIANTS) {
    const accepted = new Set(findAccepted(new Map([...samples].map(([place, sample]) => [place, vary(sample)]))));
    const texts = new Map([...samples].map(([place, sample]) => [place, accepted.has(place) ? vary(sample) : sample]));
    // Of the second mode, only these values are rendered in no other.
    const isOfSecond = [...accepted].some(({ path }) => path.includes('issuerRef') || path.includes('configMapName'));
    for (const mode of isOfSecond ? MODES : MODES.slice(0, 1)) {
      const { status, stdout, stderr } = run(dropOther(fill(createValues(mode), texts), mode));
      const name = `${mode}: ${JSON.stringify(vary('…'))} in ${accepted.size} places`;
      t.equal(status, 0, name, { stderr });
      t.strictSame(readShape(readObjects(stdout), new Set(texts.values())), wanted.get(mode), name);
      t.notOk(stdout.includes('40124'), `${name}: no value is a template`);
    }
  }
  t.end();
});

void t.test('names that look like numbers are names', options, (t) => {
  const shapeOf = (release: string, namespace: string): unknown => {
    const { stdout } = helm('template', release, CHART, '--namespace', namespace, '--kube-version', '1.31.0');
    return readShape(readObjects(stdout), new Set());
  };
  t.strictSame(shapeOf('123', '456'), shapeOf('a-release', NAMESPACE));
  t.strictSame(shapeOf('1e3', '0x1f'), shapeOf('a-release', NAMESPACE));
  t.end();
});

void t.test('Kubernetes replaces nothing in a value', options, (t) => {
  const objects = render('sidecar.proxy.noProxy=$(HOME)', 'webhook.nodeFlags={--title=$(HOME)}');
  const container = at(find(objects, 'Deployment'), 'spec.template.spec.containers.0');
  t.equal(at(container, 'command.1'), '--title=$$(HOME)');
  const environment = at(container, 'env') as readonly { name: string; value?: string }[];
  t.equal(environment.find(({ name }) => name === WEBHOOK_ENV.sidecarNoProxy)?.value, '$$(HOME)');
  t.end();
});

void t.test('labels of the values replace none of the chart', options, (t) => {
  const label = 'app\\.kubernetes\\.io/name';
  const objects: readonly KubernetesObject[] = render(
    `webhook.podLabels.${label}=other`,
    'webhook.podLabels.team=git',
    'metrics.serviceMonitor.enabled=true',
    `metrics.serviceMonitor.labels.${label}=other`,
  );
  const deployment = find(objects, 'Deployment');
  t.match(at(deployment, 'spec.template.metadata.labels'), {
    ...(at(deployment, 'spec.selector.matchLabels') as object),
    team: 'git',
  });
  t.match(at(find(objects, 'ServiceMonitor'), 'metadata.labels'), { 'app.kubernetes.io/name': 'ado-git-identity' });
  t.end();
});

/** The chart, rendered by the real helm. */
import { spawnSync } from 'node:child_process';
import { parseAllDocuments } from 'yaml';
import { WEBHOOK_NAME } from '../../src/names.js';

export const CHART = 'charts/ado-git-identity';
export const NAMESPACE = 'release-ns';

export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
}

/** The value at a path such as `spec.ports.0.name`. */
export function at(value: unknown, place: string): unknown {
  return place
    .split('.')
    .reduce((inner, key) => (inner as Readonly<Record<string, unknown>> | undefined)?.[key], value);
}

const isMissing = spawnSync('helm', ['version']).error !== undefined;
if (isMissing && process.env.CI === 'true') throw new Error('helm is needed with CI=true');
export const options = isMissing ? { skip: 'helm is not installed' } : {};

export function helm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('helm', args, { encoding: 'utf8' });
}

export function template(values: readonly string[], kubeVersion = '1.31.0'): ReturnType<typeof helm> {
  const set = values.flatMap((value) => (value.startsWith('-') ? [value] : ['--set', value]));
  return helm('template', 'a-release', CHART, '--namespace', NAMESPACE, '--kube-version', kubeVersion, ...set);
}

export function render(...values: string[]): KubernetesObject[] {
  const { status, stdout, stderr } = template(values);
  if (status !== 0) throw new Error(stderr);
  return readObjects(stdout);
}

/** @throws where the text is not YAML, or a key is there twice. */
export function readObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS() as KubernetesObject;
  });
}

export function find(objects: readonly KubernetesObject[], kind: string, name = WEBHOOK_NAME): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

export function isHook(object: KubernetesObject): boolean {
  return object.metadata.annotations?.['helm.sh/hook'] !== undefined;
}

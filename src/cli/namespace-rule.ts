/** Which namespaces of a file the webhook would serve, by the chart's values of `webhook`. */
import type { SkipReason } from '../inject/index.js';
import { INJECT, SYSTEM_NAMESPACES } from '../names.js';
import { isObject } from '../values/json.js';
import { quote, truncate } from '../values/text.js';
import { readField } from './pod-templates.js';

export interface Exclusion {
  readonly reason: SkipReason;
  readonly message: string;
}

/** @param object the Namespace, where the file has it; one that it does not have counts as opted in. */
export type NamespaceRule = (name: string, object: unknown) => Exclusion | undefined;

/** The rule of an installation with the chart's own values. */
export const STANDARD_RULE: NamespaceRule = (name, object) => findExcluded(name, []) ?? findWithoutLabel(name, object);

/** The rule of the chart's values; `report` gets a sentence for what can't be read. */
export function readNamespaceRule(webhook: unknown, report: (problem: string) => void): NamespaceRule {
  const excluded = readTextList(readField(webhook, 'excludedNamespaces'), 'webhook.excludedNamespaces', report);
  if (readField(webhook, 'allNamespaces') === true) return (name) => findExcluded(name, excluded);
  const selector = readField(webhook, 'namespaceSelector');
  if (!isObject(selector) || Object.keys(selector).length === 0) {
    return (name, object) => findExcluded(name, excluded) ?? findWithoutLabel(name, object);
  }
  const requirements = readSelector(selector, report);
  return (name, object) => {
    const found = findExcluded(name, excluded);
    if (found !== undefined || object === undefined) return found;
    const unmet = requirements.find((requirement) => !requirement.isMet(readField(object, 'metadata', 'labels')));
    if (unmet === undefined) return undefined;
    const message = `namespace ${name} does not match webhook.namespaceSelector: ${unmet.text}`;
    return { reason: 'namespace-not-enabled', message };
  };
}

function findExcluded(name: string, excluded: readonly string[]): Exclusion | undefined {
  const isSystem = SYSTEM_NAMESPACES.some((one) => one === name);
  if (!isSystem && !excluded.includes(name)) return undefined;
  const cause = isSystem ? 'is never served' : 'is one of webhook.excludedNamespaces';
  return { reason: 'namespace-excluded', message: `namespace ${name} ${cause}` };
}

function findWithoutLabel(name: string, object: unknown): Exclusion | undefined {
  const label = readField(object, 'metadata', 'labels', INJECT);
  if (object === undefined || label === 'enabled') return undefined;
  const write = `write ${INJECT}: enabled`;
  const cause =
    label === undefined
      ? ` has no label ${INJECT}: enabled`
      : typeof label === 'string'
        ? ` has the label ${INJECT}: ${quote(label)}; ${write}`
        : `: label ${INJECT} is not a text; ${write}`;
  return { reason: 'namespace-not-enabled', message: `namespace ${name}${cause}` };
}

interface Requirement {
  readonly text: string;
  readonly isMet: (labels: unknown) => boolean;
}

/** Of a label selector of `meta/v1`. */
function readSelector(
  { matchLabels, matchExpressions }: Readonly<Record<string, unknown>>,
  report: (problem: string) => void,
): readonly Requirement[] {
  const place = 'webhook.namespaceSelector.matchExpressions';
  const equal = Object.entries(isObject(matchLabels) ? matchLabels : {}).map(([key, value]) => ({
    text: `${key}: ${truncate(String(value))}`,
    isMet: (labels: unknown) => readField(labels, key) === value,
  }));
  if (matchExpressions !== undefined && !Array.isArray(matchExpressions)) report(`${place} is not a list.`);
  const expressions: readonly unknown[] = Array.isArray(matchExpressions) ? matchExpressions : [];
  return [
    ...equal,
    ...expressions.map((expression, index) => readExpression(expression, `${place}[${index}]`, report)),
  ];
}

const OPERATORS: Readonly<Record<string, (label: unknown, values: readonly string[]) => boolean>> = {
  In: (label, values) => values.some((value) => value === label),
  NotIn: (label, values) => !values.some((value) => value === label),
  Exists: (label) => label !== undefined,
  DoesNotExist: (label) => label === undefined,
};

function readExpression(expression: unknown, place: string, report: (problem: string) => void): Requirement {
  const key = readField(expression, 'key');
  const operator = readField(expression, 'operator');
  const values = readTextList(readField(expression, 'values'), `${place}.values`, report);
  const compare = typeof operator === 'string' && Object.hasOwn(OPERATORS, operator) ? OPERATORS[operator] : undefined;
  if (typeof key !== 'string' || compare === undefined) {
    report(`${place} needs a key, and an operator: ${Object.keys(OPERATORS).join(', ')}.`);
    return { text: place, isMet: () => false };
  }
  const list = values.length === 0 ? '' : ` ${truncate(values.join(', '))}`;
  return { text: `${key} ${String(operator)}${list}`, isMet: (labels) => compare(readField(labels, key), values) };
}

function readTextList(value: unknown, place: string, report: (problem: string) => void): readonly string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((item): item is string => typeof item === 'string')) return value;
  report(`${place} is not a list of texts.`);
  return [];
}

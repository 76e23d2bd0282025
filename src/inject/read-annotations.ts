/** Reads the annotations of a pod and of its service account: their values, and what is wrong with them. PURE. */
import { MAX_ANNOTATION_LENGTH } from '../defaults.js';
import { ANNOTATION, AZURE_ANNOTATION, GROUP, MIRROR_ANNOTATION, WRITTEN_ANNOTATION } from '../names.js';
import { isObject } from '../values/json.js';
import { describeProblem, type Problem, type Reader } from '../values/readers.js';
import { showName } from '../values/text.js';
import { READERS } from './annotation-readers.js';
import { findTextProblem } from './pod-shape.js';
import type { Refusal, RefusalReason, Subject, Warning } from './reasons.js';
import { findNearest, findNearestOfPart } from './suggest.js';

type Key = keyof typeof ANNOTATION;
type ValueOf<R> = R extends Reader<infer T> ? T : never;

/** The values of the group's annotations that are present and well-formed. */
export type GroupValues = { readonly [K in Key]?: ValueOf<(typeof READERS)[K]> };

/** What is wrong with one annotation. */
export interface Finding {
  readonly subject: Subject;
  readonly message: string;
}

/** An object with annotations, those of the group read. */
export interface Source {
  readonly subject: Subject;
  /** Names the object in messages. */
  readonly description: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly values: GroupValues;
  readonly findings: readonly Finding[];
}

/** What the names of the Azure webhook's annotations begin with. */
const AZURE_PREFIX = 'azure.workload.identity/';

const KNOWN: readonly string[] = Object.values(ANNOTATION);
/** What a misspelt name may stand for, by what follows the group. */
const MEANT: ReadonlyMap<string, string> = new Map(
  [...KNOWN, AZURE_ANNOTATION.skipContainers, AZURE_ANNOTATION.tokenExpiration].map((name) => [dropGroup(name), name]),
);
/** Without these, more can be reached: where one of them is meant, the pod is denied. */
const LIMITING: ReadonlySet<string> = new Set([
  ANNOTATION.organizations,
  ANNOTATION.repositories,
  ANNOTATION.access,
  ANNOTATION.containers,
  AZURE_ANNOTATION.skipContainers,
]);
/** The same in the group of the Azure webhook, which knows no such annotations. */
const LIMITING_IN_OTHER_GROUP: ReadonlySet<string> = new Set(
  [...LIMITING].map((name) => `${AZURE_PREFIX}${dropGroup(name)}`).filter((name) => !LIMITING.has(name)),
);
const MEANT_WORDS = [...MEANT.keys()];
const LIMITING_WORDS = [...LIMITING].map(dropGroup);
const KNOWN_OR_WRITTEN = new Set<string>([...KNOWN, ...Object.values(WRITTEN_ANNOTATION)]);
const READ_FROM_SERVICE_ACCOUNT = new Set<string>(
  [...KNOWN, ...Object.values(AZURE_ANNOTATION)].filter(isReadFromServiceAccount),
);
const READ_FROM_POD = new Set<string>([...KNOWN_OR_WRITTEN, ...Object.values(AZURE_ANNOTATION), MIRROR_ANNOTATION]);

/** Limit on unknown annotations: each is compared with the known names. Of an object that has more, one more is kept. */
const MAX_UNKNOWN = 8;

const NO_ANNOTATIONS: Readonly<Record<string, string>> = Object.freeze({});

/** Stands for a value that is too long to be kept. No reader accepts it, and what they say quotes its beginning. */
export const OVERLONG_VALUE = `(more than ${MAX_ANNOTATION_LENGTH} characters)`.padEnd(MAX_ANNOTATION_LENGTH + 1, '.');

/**
 * The annotations of a service account that injection reads; the same empty object wherever there are none. Of those of the
 * group that are not known it keeps a few names, since they are reported, and no values.
 */
export function keepAnnotations(annotations: unknown): Readonly<Record<string, string>> {
  if (typeof annotations !== 'object' || annotations === null) return NO_ANNOTATIONS;
  const kept: [string, string][] = [];
  let unknown = 0;
  for (const [name, value] of Object.entries(annotations)) {
    if (typeof value !== 'string' || !isReadFromServiceAccount(name)) continue;
    if (READ_FROM_SERVICE_ACCOUNT.has(name)) {
      kept.push([name, value.length > MAX_ANNOTATION_LENGTH ? OVERLONG_VALUE : value]);
    } else if (isUnknown(name) && unknown <= MAX_UNKNOWN) {
      unknown += 1;
      kept.push([name, '']);
    }
  }
  return kept.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(kept);
}

/** The annotations of a pod that injection reads, with some unknown ones of the group. */
export function pickAnnotations(annotations: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const picked: Record<string, string> = {};
  let unknown = 0;
  for (const name of Object.keys(annotations)) {
    if (!READ_FROM_POD.has(name) && (!isUnknown(name) || ++unknown > MAX_UNKNOWN + 1)) continue;
    const text = annotations[name];
    if (typeof text === 'string') picked[name] = text;
  }
  return picked;
}

/** What is wrong with the type of an annotation that {@link keepAnnotations} leaves out: only a file can hold one. */
export function findUntypedAnnotation(annotations: unknown): string | undefined {
  if (!isObject(annotations)) return undefined;
  for (const [name, value] of Object.entries(annotations)) {
    const problem = isReadFromServiceAccount(name) ? findTextProblem(value) : undefined;
    if (problem !== undefined) return `annotation ${showName(name)} ${problem}`;
  }
  return undefined;
}

/** All annotations of the group count, since a misspelled one is reported. */
export function isReadFromServiceAccount(annotation: string): boolean {
  if (annotation.startsWith(`${GROUP}/`)) return true;
  return annotation.startsWith(AZURE_PREFIX) && annotation !== AZURE_ANNOTATION.skipContainers;
}

/** Reads all annotations of the group, also those that another source overrides. */
export function readSource(
  subject: Subject,
  description: string,
  annotations: Readonly<Record<string, string>>,
): Source {
  const values: Partial<Record<Key, unknown>> = {};
  const findings: Finding[] = [];
  for (const key of Object.keys(ANNOTATION) as Key[]) {
    const annotation = ANNOTATION[key];
    const written = annotations[annotation];
    if (written === undefined) continue;
    // The API server compares `inject` exactly; a value that it does not recognise must not count here either.
    const text = key === 'inject' ? written : written.trim();
    const problem = text === '' ? { problem: 'is empty; give it a value or remove it' } : findExcess(text);
    const reading = problem ?? READERS[key](text);
    if ('value' in reading) values[key] = reading.value;
    else
      findings.push({ subject, message: `${description}: annotation ${annotation} ${describeProblem(text, reading)}` });
  }
  findings.push(...findLostLimits(subject, description, annotations));
  return { subject, description, annotations, values: values as GroupValues, findings };
}

/** Unknown annotations that would limit access if they were spelt right. Ignored, they would widen it in silence. */
function findLostLimits(
  subject: Subject,
  description: string,
  annotations: Readonly<Record<string, string>>,
): Finding[] {
  const names = Object.keys(annotations).filter(isUnknown);
  if (names.length > MAX_UNKNOWN) {
    const message = `${description} has more than ${MAX_UNKNOWN} annotations ${GROUP}/… that are not known, such as ${showName(names[0] ?? '')}; correct or remove them`;
    return [{ subject, message }];
  }
  return names.flatMap((name) => {
    const meant = findMeant(name);
    if (meant === undefined || !LIMITING.has(meant)) return [];
    const message = `${description}: annotation ${showName(name)} is not known; did you mean ${meant}? It would limit access, so the pod is denied: correct the name, or remove it`;
    return [{ subject, message }];
  });
}

/** Annotations that limit access, written as labels: they would widen it in silence too. */
export function findLimitingLabels(description: string, labels: Readonly<Record<string, unknown>>): Finding[] {
  return [...LIMITING]
    .filter((name) => Object.hasOwn(labels, name))
    .map((name) => ({
      subject: 'pod',
      message: `${description}: ${name} is a label, and has no effect there; write it as an annotation`,
    }));
}

/** The known annotation for which this name probably stands. */
function findMeant(name: string): string | undefined {
  const word = dropGroup(name);
  const nearest =
    findNearest(word, MEANT_WORDS) ?? findNearestOfPart(word, LIMITING_WORDS) ?? findNearestOfPart(word, MEANT_WORDS);
  return nearest === undefined ? undefined : MEANT.get(nearest);
}

function dropGroup(name: string): string {
  return name.slice(name.indexOf('/') + 1);
}

function findExcess({ length }: string): Problem | undefined {
  return length > MAX_ANNOTATION_LENGTH ? { problem: `has more than ${MAX_ANNOTATION_LENGTH} characters` } : undefined;
}

/** Reads one annotation of the Azure webhook from the first source that sets it; an empty value counts as unset. */
export function readFirst<T>(
  annotation: string,
  reader: Reader<T>,
  sources: readonly Source[],
  findings: Finding[],
): T | undefined {
  for (const { subject, description, annotations } of sources) {
    const text = annotations[annotation]?.trim() ?? '';
    if (text === '') continue;
    const reading = findExcess(text) ?? reader(text);
    if ('value' in reading) return reading.value;
    findings.push({ subject, message: `${description}: annotation ${annotation} ${describeProblem(text, reading)}` });
    return undefined;
  }
  return undefined;
}

/** All findings in one message; `undefined` where there are none. */
export function joinFindings(reason: RefusalReason, findings: readonly Finding[]): Refusal | undefined {
  const [first] = findings;
  if (first === undefined) return undefined;
  return { reason, subject: first.subject, message: findings.map(({ message }) => message).join('; ') };
}

function isUnknown(name: string): boolean {
  if (LIMITING_IN_OTHER_GROUP.has(name)) return true;
  return name.startsWith(`${GROUP}/`) && !KNOWN_OR_WRITTEN.has(name);
}

/** Warns of annotations of the group that have no meaning, and would not limit access. */
export function warnOfUnknown({ subject, description, annotations }: Source): Warning[] {
  return Object.keys(annotations)
    .filter(isUnknown)
    .map((name) => {
      const meant = findMeant(name);
      const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
      return {
        code: 'unknown-annotation',
        subject,
        message: `${description}: annotation ${showName(name)} is not known${hint}`,
      };
    });
}

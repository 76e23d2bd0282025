/** The commands `inject` and `uninject`: YAML in, YAML out, offline. */
import { readFile } from 'node:fs/promises';
import { describeError, ProductError } from '../errors.js';
import {
  completeInjection,
  type Defaults,
  examinePod,
  findUntypedAnnotation,
  keepAnnotations,
  type Operation,
  type Outcome,
  type Reason,
  STANDARD_DEFAULTS,
  uninjectPod,
  type Warning,
} from '../inject/index.js';
import { PRODUCT } from '../names.js';
import { readClientId, readTenantId } from '../values/entra-ids.js';
import { readObjectName } from '../values/kubernetes.js';
import { readOrigin } from '../values/urls.js';
import { VERSION } from '../version.js';
import { parseFlags, readFlags } from './arguments.js';
import { type ChartValues, readChartValues } from './chart-values.js';
import { type DecodedFile, decodeFile } from './encoding.js';
import { type FileObjects, indexObjects } from './file-objects.js';
import type { CommandIo } from './io.js';
import { type NamespaceRule, STANDARD_RULE } from './namespace-rule.js';
import { findPodTemplates, type PodTemplate, prefixOperations, readField } from './pod-templates.js';
import { editDocument, type FileDocument, readDocuments } from './yaml-file.js';

export const INJECT_HELP = `Usage: ado-git-identity inject -f FILE|- [flags]

Injects every pod template in a file of Kubernetes objects, as the webhook does when a pod is created, and writes the file
to standard output. Standard error says what was injected, and what was not and why. The file's own Namespaces (the opt-in
label) and ServiceAccounts (the identity) are used. A Namespace that is not in the file counts as opted in. YAML or JSON,
UTF-8 or UTF-16; documents that are not edited are written byte for byte.

  -f, --file FILE          file to read; - for standard input
  -n, --namespace NAME     namespace of objects that name none (default)
      --client-id ID       identity where the service account names none
      --tenant-id ID       tenant where the service account names none
      --image IMAGE        image of the sidecar (${PRODUCT}:${VERSION})
      --authority-host URL Entra (${STANDARD_DEFAULTS.authorityHost})
      --values FILE        values of the chart, as for helm install; the flags above take precedence
      --strict             exit code 1 also for pods that are left alone, and for warnings

Exit code 0; 1 if a pod would be denied, or a file can't be read; 2 for a wrong command line.
`;

export const UNINJECT_HELP = `Usage: ado-git-identity uninject -f FILE|-

Removes from every pod template in a file what inject added, and writes the file to standard output.

  -f, --file FILE          file to read; - for standard input

Exit code 0; 1 if the file can't be read; 2 for a wrong command line.
`;

/** Runs `inject`; returns the exit code. */
export async function runInject(argv: readonly string[], io: CommandIo): Promise<number> {
  const values = parseFlags('inject', argv, {
    file: { type: 'string', short: 'f' },
    namespace: { type: 'string', short: 'n' },
    'client-id': { type: 'string' },
    'tenant-id': { type: 'string' },
    image: { type: 'string' },
    'authority-host': { type: 'string' },
    values: { type: 'string' },
    strict: { type: 'boolean' },
  });
  const file = await load('inject', values.file, io);
  const { strict = false, ...flags } = values;
  const chart = flags.values === undefined ? undefined : await loadChartValues(flags.values);
  const { namespace, ...options } = readOptions(flags, chart);
  const context: Context = {
    ...options,
    namespace,
    objects: indexObjects(
      file.documents.map(({ value }) => value),
      namespace,
    ),
  };
  let exitCode = 0;
  const edit = (template: PodTemplate): readonly Operation[] => {
    const result = injectTemplate(template, context);
    if (result.denied || (strict && result.incomplete)) exitCode = 1;
    for (const line of result.lines) io.stderr(`${line}\n`);
    return result.patch;
  };
  writeEdited(file, edit, io);
  return exitCode;
}

/** Runs `uninject`; returns the exit code. */
export async function runUninject(argv: readonly string[], io: CommandIo): Promise<number> {
  const values = parseFlags('uninject', argv, { file: { type: 'string', short: 'f' } });
  const file = await load('uninject', values.file, io);
  const edit = (template: PodTemplate): readonly Operation[] => {
    const patch = uninjectPod(template.pod);
    io.stderr(`${patch === undefined ? 'left alone (not-injected)' : 'uninjected'}: ${template.description}\n`);
    return patch ?? [];
  };
  writeEdited(file, edit, io);
  return 0;
}

interface LoadedFile {
  /** For messages. */
  readonly name: string;
  readonly documents: readonly FileDocument[];
  readonly bytes: Uint8Array;
  readonly decoded: DecodedFile;
}

async function load(command: string, file: string | undefined, io: CommandIo): Promise<LoadedFile> {
  if (file === undefined || file === '') {
    throw new ProductError(
      'usage',
      `-f FILE is missing; - reads standard input; see: ado-git-identity ${command} --help`,
    );
  }
  const name = file === '-' ? 'standard input' : file;
  const bytes = file === '-' ? await io.stdin() : await readBytes(file);
  const decoded = decodeFile(bytes, name);
  return { name, documents: readDocuments(decoded.text, name), bytes, decoded };
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new ProductError('document', `${file} can't be read: ${describeError(error)}`, { cause: error });
  }
}

async function loadChartValues(file: string): Promise<ChartValues> {
  return readChartValues(new TextDecoder().decode(await readBytes(file)), file);
}

type Options = Omit<Context, 'objects'>;

function readOptions(values: Readonly<Record<string, string | undefined>>, chart: ChartValues | undefined): Options {
  const defaults = chart?.defaults ?? { ...STANDARD_DEFAULTS, image: `${PRODUCT}:${VERSION}` };
  return readFlags(values, ({ read, text }) => ({
    defaults: {
      ...defaults,
      image: text('--image') ?? defaults.image,
      clientId: read('--client-id', readClientId) ?? defaults.clientId,
      tenantId: read('--tenant-id', readTenantId) ?? defaults.tenantId,
      authorityHost: read('--authority-host', readOrigin) ?? defaults.authorityHost,
    },
    namespace: read('--namespace', readObjectName) ?? 'default',
    namespaceRule: chart?.namespaceRule ?? STANDARD_RULE,
  }));
}

interface Context {
  readonly defaults: Defaults;
  readonly namespace: string;
  readonly namespaceRule: NamespaceRule;
  readonly objects: FileObjects;
}

interface TemplateResult {
  readonly patch: readonly Operation[];
  readonly denied: boolean;
  /** Left alone, or injected with a warning. */
  readonly incomplete: boolean;
  readonly lines: readonly string[];
}

function injectTemplate(template: PodTemplate, context: Context): TemplateResult {
  const { pod, description } = template;
  const namespace = template.namespace ?? context.namespace;
  const exclusion = context.namespaceRule(namespace, context.objects.findNamespace(namespace));
  if (exclusion !== undefined) {
    return leaveAlone(exclusion.reason, `${description}: ${exclusion.message}`);
  }
  const candidate = examinePod(pod, namespace, description);
  if (candidate.kind !== 'candidate') return describeOutcome(candidate, description);
  const { serviceAccountName } = candidate;
  const serviceAccount = context.objects.findServiceAccount(namespace, serviceAccountName);
  const written = readField(serviceAccount, 'metadata', 'annotations');
  const problem = findUntypedAnnotation(written);
  if (problem !== undefined) {
    const message = `service account ${namespace}/${serviceAccountName}: ${problem}`;
    const refusal = { reason: 'invalid-annotation', subject: 'service-account', message } as const;
    return describeOutcome({ kind: 'refused', answer: 'deny', ...refusal }, description);
  }
  const annotations = keepAnnotations(written);
  return describeOutcome(completeInjection(candidate, { state: 'found', annotations }, context.defaults), description);
}

function leaveAlone(reason: Reason, message: string): TemplateResult {
  return { patch: [], denied: false, incomplete: true, lines: [`left alone (${reason}): ${message}`] };
}

function describeOutcome(outcome: Outcome, description: string): TemplateResult {
  // A message about the service account does not name the pod.
  const name = (subject: Warning['subject'], message: string): string =>
    subject === 'service-account' ? `${description}: ${message}` : message;
  switch (outcome.kind) {
    case 'skipped':
      return leaveAlone(outcome.reason, outcome.message);
    case 'refused': {
      const { reason, subject, message, answer } = outcome;
      const hint = reason === 'no-client-id' || reason === 'no-tenant-id' ? IDENTITY_HINT : '';
      const text = `${name(subject, message)}${hint}`;
      if (answer === 'admit') return leaveAlone(reason, text);
      return { patch: [], denied: true, incomplete: true, lines: [`denied (${reason}): ${text}`] };
    }
    case 'injected': {
      const { patch, status, warnings } = outcome;
      const what = patch.length === 0 ? 'already injected' : 'injected';
      return {
        patch,
        denied: false,
        incomplete: warnings.length > 0,
        lines: [
          `${what}: ${description}: ${status.containers.join(', ')}`,
          ...warnings.map(({ code, subject, message }) => `warning (${code}): ${name(subject, message)}`),
        ],
      };
    }
  }
}

const IDENTITY_HINT = '; for this command, add the ServiceAccount to the file or use --client-id and --tenant-id';

/** Writes the file with its edits; says so where it has no pod template. */
function writeEdited(file: LoadedFile, edit: (template: PodTemplate) => readonly Operation[], io: CommandIo): void {
  let templates = 0;
  let edits = 0;
  const tell = (note: string | undefined): void => {
    if (note !== undefined) io.stderr(`note: ${note}\n`);
  };
  const texts = file.documents.map((document) => {
    const found = findPodTemplates(document.value);
    templates += found.length;
    const operations = found.flatMap((template) => prefixOperations(template.path, edit(template)));
    if (operations.length === 0) return document.text;
    edits++;
    const { text, note } = editDocument(document, operations);
    tell(note);
    return text;
  });
  if (templates === 0) tell(`${file.name} has no pod template; it is written as it was`);
  if (edits > 0) tell(file.decoded.note);
  io.stdout(edits === 0 ? file.bytes : file.decoded.encode(texts.join('')));
}

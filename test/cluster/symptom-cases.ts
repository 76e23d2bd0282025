/**
 * The mistakes that docs/symptoms.md explains, made as users make them. What is shown is what the page quotes, and the commands
 * of the page and of the first steps work. Quotes and commands are read from the pages, so that these stay true.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';
import { ANNOTATION, AZURE_ANNOTATION, INJECT, PRODUCT, SIDECAR_CONTAINER, USE_LABEL } from '../../src/names.js';
import { waitForEvent, waitUntil } from '../support/wait.js';
import type { KubernetesObject } from './api.js';
import { CLIENT_ID, ROTATED_CLIENT_ID, TENANT_ID } from './azure.js';
import type { Cluster } from './cluster.test.js';
import { addNamespace, buildTemplate, install, removeNamespace, waitForOldReplicas } from './installation.js';
import { listCommands, readQuote, toPattern } from './symptom-page.js';

const NAMESPACE = 'ado-git-symptoms';
const NOT_ENABLED = `${NAMESPACE}-out`;
const REPOSITORY = 'dev.azure.com/contoso/payments/_git/library';
/** Of an organization in another tenant: its answers are those to a token that is not valid there. */
const ELSEWHERE = '/elsewhere/';
const UNKNOWN_ID = '1e0f9a2c-7b3d-4c56-8e41-0a9b8c7d6e5f';

type Place = 'git' | 'sidecar' | 'events' | 'apply';

interface Mistake {
  /** Of its Deployment, or of its pod where the place is `apply`, and of its service account. */
  readonly name: string;
  /** How its cause begins on the page, in bold. */
  readonly cause: string;
  /** Where the page says that its quote is shown. */
  readonly places: readonly Place[];
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly clientId?: string | undefined;
  readonly tenantId?: string | undefined;
  readonly hasCredential?: false;
  readonly remote?: string;
  /** Of git. */
  readonly options?: string;
}

const MISTAKES: readonly Mistake[] = [
  { name: 'label-place', cause: 'The label is on the Deployment', labels: {}, places: ['git'] },
  { name: 'label-value', cause: 'The label has another value', labels: { [USE_LABEL]: 'True' }, places: ['git'] },
  { name: 'namespace', cause: 'The namespace did not opt in', namespace: NOT_ENABLED, places: ['git'] },
  {
    name: 'client-on-pod',
    cause: 'The service account has no client id',
    clientId: undefined,
    annotations: { [AZURE_ANNOTATION.clientId]: CLIENT_ID },
    places: ['events'],
  },
  { name: 'no-tenant', cause: 'There is no tenant', tenantId: undefined, places: ['events'] },
  {
    name: 'no-credential',
    cause: 'The federated credential is missing',
    hasCredential: false,
    places: ['git', 'sidecar'],
  },
  {
    name: 'wrong-client',
    cause: 'The client id is wrong',
    clientId: UNKNOWN_ID,
    hasCredential: false,
    places: ['git', 'sidecar'],
  },
  { name: 'wrong-tenant', cause: 'The tenant id is wrong', tenantId: UNKNOWN_ID, places: ['git', 'sidecar'] },
  {
    name: 'other-organization',
    cause: 'The annotation `organizations` does not name',
    annotations: { [ANNOTATION.organizations]: 'fabrikam' },
    places: ['git'],
  },
  {
    name: 'other-tenant',
    cause: 'The organization is connected to another tenant',
    remote: `https://dev.azure.com${ELSEWHERE}payments/_git/library`,
    places: ['git'],
  },
  {
    name: 'password',
    cause: 'A password came from elsewhere',
    remote: `https://user:password@${REPOSITORY}`,
    places: ['git'],
  },
  {
    name: 'header',
    cause: 'An `Authorization` header is configured',
    options: '-c "http.extraHeader=Authorization: Basic dXNlcjpwYXNzd29yZA=="',
    places: ['git'],
  },
  {
    name: 'not-member',
    cause: 'The identity is not a member',
    clientId: ROTATED_CLIENT_ID,
    remote: 'https://dev.azure.com/fabrikam/platform/_git/tools',
    places: ['git'],
  },
  { name: 'wrong-name', cause: 'A name is wrong', remote: `https://${REPOSITORY}.git`, places: ['git'] },
  {
    name: 'ssh',
    cause: 'The remote is an SSH address',
    remote: 'git@ssh.dev.azure.com:v3/contoso/payments/library',
    places: ['git'],
  },
  {
    name: 'malformed',
    cause: 'An annotation is malformed',
    annotations: { [ANNOTATION.organizations]: 'contoso;fabrikam' },
    places: ['events'],
  },
  {
    name: 'malformed-pod',
    cause: 'An annotation is malformed',
    annotations: { [ANNOTATION.organizations]: 'contoso;fabrikam' },
    places: ['apply'],
  },
  {
    name: 'misspelt',
    cause: 'An annotation is misspelt',
    annotations: { [ANNOTATION.organizations.replace('iz', 'is')]: 'contoso' },
    places: ['events'],
  },
  {
    name: 'misspelt-pod',
    cause: 'An annotation is misspelt',
    annotations: { [ANNOTATION.organizations.replace('iz', 'is')]: 'contoso' },
    places: ['apply'],
  },
];
/** Its Deployment makes no mistake. */
const RIGHT: Mistake = { name: 'right', cause: '', places: ['git'] };

export async function symptomCases(t: Test, { api, azure, root, flags }: Cluster): Promise<void> {
  await install(azure, ...flags, '--set', 'azure.tenantId=');
  await waitForOldReplicas(api);
  await addNamespace(api, azure, NAMESPACE);
  await addNamespace(api, azure, NOT_ENABLED, { [INJECT]: 'no' });
  azure.azureDevOps.intercept((_method, { pathname }) =>
    pathname.startsWith(ELSEWHERE)
      ? { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="https://tfsprodweu1.visualstudio.com/"' } }
      : undefined,
  );
  const applied = new Map<string, string>();
  for (const mistake of [...MISTAKES, RIGHT]) {
    const { name, namespace = NAMESPACE, hasCredential, clientId } = fillIdentity(mistake);
    if (hasCredential !== false) azure.federate(namespace, name, clientId);
    await api.apply(buildAccount(mistake));
    applied.set(name, await show('kubectl apply -f -', JSON.stringify(buildWorkload(mistake))));
  }
  const page = readFileSync(join(root, 'docs/symptoms.md'), 'utf8');
  for (const mistake of MISTAKES) {
    const quotes = readQuote(page, mistake.cause);
    for (const place of mistake.places) {
      const read = () => (place === 'apply' ? (applied.get(mistake.name) ?? '') : show(readCommand(mistake, place)));
      await waitForQuotes(t, `${mistake.cause}, in ${place}`, quotes, read);
    }
  }
  await t.test('the commands of the pages', async (t) => {
    const pod = await waitUntil('a pod without mistakes', async () => {
      const output = await show(`kubectl get pods -n ${NAMESPACE} -l app=${RIGHT.name} -o name`);
      return /^pod\/(\S+)$/m.exec(output)?.[1];
    });
    await waitUntil('its git has an answer', async () =>
      (await show(readCommand(RIGHT, 'git'))).includes('refs/heads'),
    );
    const pages = ['docs/symptoms.md', 'docs/identity.md', 'README.md'].map((name) =>
      readFileSync(join(root, name), 'utf8'),
    );
    await runCommands(t, pages, pod);
  });
  azure.azureDevOps.intercept(() => undefined);
  await removeNamespace(api, NAMESPACE);
  await removeNamespace(api, NOT_ENABLED);
  await install(azure, ...flags);
  await waitForOldReplicas(api);
}

/** Waits until all are shown; the sidecar logs what git prints after its name. */
async function waitForQuotes(
  t: Test,
  what: string,
  quotes: readonly string[],
  read: () => string | Promise<string>,
): Promise<void> {
  for (const quote of quotes) {
    const pattern = toPattern(quote.replace(`${PRODUCT}: `, ''));
    let shown = '';
    await waitUntil(what, async () => pattern.test((shown = await read())), {
      withinSeconds: 60,
      describe: () => ({ quote, shown }),
    });
    t.pass(`${what}: ${quote.slice(0, 80)}`);
  }
}

function fillIdentity(mistake: Mistake): Mistake {
  return { clientId: CLIENT_ID, tenantId: TENANT_ID, ...mistake };
}

function buildAccount(mistake: Mistake): KubernetesObject {
  const { name, namespace = NAMESPACE, clientId, tenantId } = fillIdentity(mistake);
  const annotations = {
    ...(clientId !== undefined && { [AZURE_ANNOTATION.clientId]: clientId }),
    ...(tenantId !== undefined && { [AZURE_ANNOTATION.tenantId]: tenantId }),
  };
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, annotations } };
}

/** A Deployment, with the label of pods also where it has no effect; or a pod. */
function buildWorkload({
  name,
  places,
  namespace = NAMESPACE,
  labels = { [USE_LABEL]: 'true' },
  annotations = {},
  remote = `https://${REPOSITORY}`,
  options = '',
}: Mistake): KubernetesObject {
  const isPod = places.includes('apply');
  const { metadata, spec } = buildTemplate({
    script: `git ${options} ls-remote ${remote} || true; exec sleep 3600`,
    spec: { serviceAccountName: name },
    restartPolicy: 'Always',
  }) as { metadata: object; spec: object };
  const template = { metadata: { ...metadata, labels: { app: name, ...labels }, annotations }, spec };
  if (isPod) {
    return { apiVersion: 'v1', kind: 'Pod', ...template, metadata: { ...template.metadata, name, namespace } };
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels: { [USE_LABEL]: 'true' } },
    spec: { selector: { matchLabels: { app: name } }, template },
  };
}

function readCommand({ name, namespace = NAMESPACE }: Mistake, place: Exclude<Place, 'apply'>): string {
  if (place === 'events') return `kubectl get events -n ${namespace} --field-selector type=Warning | grep /${name}-`;
  return `kubectl logs -n ${namespace} deployment/${name} -c ${place === 'git' ? 'app' : SIDECAR_CONTAINER}`;
}

/** Each ends with exit code 0 for a pod without mistakes, and the first ones show what the page says. */
async function runCommands(t: Test, pages: readonly string[], pod: string): Promise<void> {
  const values: Readonly<Record<string, string>> = {
    ...{ NS: NAMESPACE, NAMESPACE, POD: pod, NAME: 'label-place', SERVICEACCOUNT: RIGHT.name, CLIENT_ID },
    ...{ URL: `https://${REPOSITORY}`, ORGANIZATION: 'contoso', PROJECT: 'payments', REPOSITORY: 'library' },
  };
  const commands = pages.flatMap((page) => listCommands(page, values));
  t.ok(commands.length > 15, 'the commands are found');
  for (const command of new Set(commands)) t.match(await show(command), /\nexit code 0$/, command);
  const [namespaces = '', labels = ''] = commands;
  t.match(await show(namespaces), /\benabled\n/, namespaces);
  const pods = await show(labels);
  t.match(pods, new RegExp(`${pod} .* true +true\n`), labels);
  t.match(pods, /label-value-\S+ .* True *\n/, 'it shows the wrong value');
}

/** What a user sees of a command: both outputs, and the exit code in a line of its own. */
async function show(command: string, input = ''): Promise<string> {
  const child = spawn('sh', ['-c', `{ ${command}; } 2>&1`], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => undefined).end(input);
  const ended = waitForEvent(command, child, 'close', { withinSeconds: 60 });
  const output = await text(child.stdout);
  await ended;
  return `${output}\nexit code ${String(child.exitCode)}`;
}

/** What the chapters share: the Azure emulator, the webhook, the pods, and functions to use them. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AzureEmulator,
  type EmulatedIdentity,
  type InContainer,
  type Programs,
  type RunningPod,
  type RunResult,
  startPod,
} from '../emulators/index.js';
import { applyOperations } from '../inject/index.js';
import type { Pod } from '../kubernetes/types.js';
import { ANNOTATION, AZURE_ANNOTATION, USE_LABEL } from '../names.js';
import { check, type Steps } from './steps.js';
import type { Terminal } from './terminal.js';
import type { Admission, RunningWebhook } from './webhook-process.js';

/** The namespace of all pods. */
export const NAMESPACE = 'ci';
/** The container that runs git. */
export const CONTAINER = 'build';

/** The applications in Entra, by the names of their service accounts. */
export const IDENTITIES = {
  builder: {
    clientId: '3c2f6f9e-52a7-4f0c-8b1d-9d4f1f6f0a11',
    subject: `${NAMESPACE}:builder`,
    access: { contoso: 'write', fabrikam: 'read' },
  },
  newcomer: { clientId: '5d7a1b0c-7e14-4c55-9a2e-2b8d3c4e5f22', access: { contoso: 'read' } },
  hasty: {
    clientId: '8e9f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a33',
    subject: `${NAMESPACE}:hasty`,
    access: { contoso: 'read' },
  },
  misspelt: {
    clientId: '9f8e7d6c-5b4a-4938-8271-6f5e4d3c2b44',
    subject: `${NAMESPACE}:Misspelt`,
    access: { contoso: 'read' },
  },
} as const satisfies Readonly<Record<string, EmulatedIdentity>>;
export type AccountName = keyof typeof IDENTITIES;

/** The repository that most steps use. */
export const REPOSITORY = 'https://dev.azure.com/contoso/payments/_git/api';

export interface Context {
  readonly azure: AzureEmulator;
  readonly webhook: RunningWebhook;
  readonly terminal: Terminal;
  readonly step: Steps['step'];
  readonly skip: Steps['skip'];
  /** Runs a pod that the webhook has patched, and keeps it in {@link pods}. */
  readonly run: (pod: Pod) => Promise<RunningPod>;
  readonly pods: readonly RunningPod[];
}

export interface ContextOptions extends Pick<Context, 'azure' | 'webhook' | 'terminal' | 'step' | 'skip'> {
  readonly programs: Programs;
  /** An empty directory for the pods. */
  readonly directory: string;
  readonly sidecarProgram: string;
  readonly searchPath: string;
}

export function createContext({ programs, directory, sidecarProgram, searchPath, ...given }: ContextOptions): Context {
  const pods: RunningPod[] = [];
  const author = { GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@contoso.example' };
  const committer = { GIT_COMMITTER_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'ada@contoso.example' };
  const imageEnv = { PATH: searchPath, LC_ALL: 'C', ...author, ...committer, ...given.azure.networkEnv };
  return {
    ...given,
    pods,
    run: async (pod) => {
      const root = join(directory, `pod-${pods.length + 1}`);
      await mkdir(root, { recursive: true });
      const { issuer } = given.azure;
      const running = await startPod({
        programs,
        pod,
        namespace: NAMESPACE,
        directory: root,
        issuer,
        sidecarProgram,
        imageEnv,
      });
      pods.push(running);
      return running;
    },
  };
}

/** A pod as its author writes it: a label to use an identity, and an annotation for a project with SSH remotes. */
export function createManifest(
  serviceAccountName: AccountName,
  annotations: Readonly<Record<string, string>> = {},
): Pod {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${serviceAccountName}-1`,
      labels: { app: serviceAccountName, [USE_LABEL]: 'true' },
      annotations: { [ANNOTATION.projects]: 'contoso/payments', ...annotations },
    },
    spec: {
      serviceAccountName,
      containers: [{ name: CONTAINER, image: 'registry.example/build:1', env: [{ name: 'STAGE', value: 'test' }] }],
    },
  };
  return pod;
}

/** The service account as the webhook reads it. */
export function createServiceAccount(name: AccountName): object {
  const annotations = { [AZURE_ANNOTATION.clientId]: IDENTITIES[name].clientId };
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: NAMESPACE, annotations } };
}

/** The pod as the API server stores it after the webhook's answer. */
export function patchPod(pod: Pod, { patch }: Admission): Pod {
  return applyOperations(pod, patch) as Pod;
}

/** Creates a pod of the service account through the webhook, and runs it. */
export async function createPod({ webhook, run }: Context, account: AccountName): Promise<RunningPod> {
  const pod = createManifest(account);
  const admission = await webhook.admit(NAMESPACE, pod);
  check(admission.allowed && admission.patch.length > 0, `the webhook did not inject the pod: ${admission.message}`);
  return run(patchPod(pod, admission));
}

/** Runs git in the pod's container. */
export function runGit(pod: RunningPod, args: readonly string[], options?: InContainer): Promise<RunResult> {
  return pod.run(CONTAINER, ['git', ...args], options);
}

/** Runs git, which must succeed; returns its standard output. */
export async function git(pod: RunningPod, args: readonly string[], options?: InContainer): Promise<string> {
  const { code, stdout, stderr } = await runGit(pod, args, options);
  check(code === 0, `git ${args.join(' ')} failed with exit code ${code}:\n${stderr.trim()}`);
  return stdout;
}

/** For tests with real git: `startGitFixture` gives an emulated Azure, and pods that the real injection has patched. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import {
  type AzureEmulator,
  createPrograms,
  type EmulatedIdentity,
  type InContainer,
  type RunningPod,
  type RunResult,
  startAzureEmulator,
  startPod,
  TENANT_ID,
} from '../../src/emulators/index.js';
import { applyOperations, injectPod, STANDARD_DEFAULTS } from '../../src/inject/index.js';
import type { Pod } from '../../src/kubernetes/types.js';
import { AZURE_ANNOTATION, USE_LABEL } from '../../src/names.js';

export const NAMESPACE = 'ci';
export const PAYMENTS = 'https://dev.azure.com/contoso/payments/_git/api';
const SIDECAR = new URL('../../dist/sidecar.cjs', import.meta.url).pathname;
const SEARCH_PATH = process.env['PATH'] ?? '';

export const BUILDER: EmulatedIdentity = {
  clientId: '11111111-2222-3333-4444-555555555555',
  subject: `${NAMESPACE}:builder`,
  access: { contoso: 'write', fabrikam: 'write' },
};
/** Has no federated credential until a test adds one. */
export const NEWCOMER: EmulatedIdentity = {
  clientId: '22222222-2222-3333-4444-555555555555',
  access: { contoso: 'read' },
};
/** Its federated credential names another service account. */
export const STRANGER: EmulatedIdentity = {
  clientId: '33333333-2222-3333-4444-555555555555',
  subject: `${NAMESPACE}:somebody-else`,
  access: { contoso: 'read' },
};

export interface GitFixture {
  readonly azure: AzureEmulator;
  /** Injects and starts a pod with one container, `build`. It ends with the test. */
  readonly startPod: (options?: PodOptions) => Promise<RunningPod>;
}

export interface PodOptions {
  readonly identity?: EmulatedIdentity;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly env?: readonly { readonly name: string; readonly value: string }[];
}

export async function startGitFixture(t: Test): Promise<GitFixture> {
  // Not `t.testdir()`: that lies in this repository, whose git configuration would count for git in the pods.
  const root = mkdtempSync(join(realpathSync(tmpdir()), 'ado-git-test-'));
  const programs = createPrograms();
  const azure = await startAzureEmulator({
    directory: root,
    identities: [BUILDER, NEWCOMER, STRANGER],
    searchPath: SEARCH_PATH,
  });
  t.teardown(async () => {
    programs.stopAll();
    await azure.close();
    rmSync(root, { recursive: true, force: true, maxRetries: 3 });
  });
  let pods = 0;
  return {
    azure,
    startPod: ({ identity = BUILDER, annotations = {}, env = [] } = {}) =>
      startPod({
        programs,
        pod: inject(azure, identity, {
          metadata: { name: 'builder-1', labels: { [USE_LABEL]: 'true' }, annotations },
          spec: { serviceAccountName: 'builder', containers: [{ name: 'build', env }] },
        }),
        namespace: NAMESPACE,
        directory: mkdtempSync(join(root, `pod-${++pods}-`)),
        issuer: azure.issuer,
        sidecarProgram: SIDECAR,
        imageEnv: { PATH: SEARCH_PATH, LC_ALL: 'C', ...azure.networkEnv },
      }),
  };
}

function inject(azure: AzureEmulator, { clientId }: EmulatedIdentity, pod: Pod): Pod {
  const outcome = injectPod({
    pod,
    namespace: NAMESPACE,
    serviceAccount: { state: 'found', annotations: { [AZURE_ANNOTATION.clientId]: clientId } },
    defaults: {
      ...STANDARD_DEFAULTS,
      image: 'sidecar',
      tenantId: TENANT_ID,
      httpsProxy: azure.proxy.url,
      extraCaPem: azure.authority.certificatePem,
    },
  });
  if (outcome.kind !== 'injected') throw new Error(outcome.message);
  return applyOperations(pod, outcome.patch) as Pod;
}

/** Runs git in the pod, where no terminal answers its questions. */
export function git(pod: RunningPod, args: readonly string[], options?: InContainer): Promise<RunResult> {
  return pod.run('build', ['git', ...args], options);
}

/** Runs git, which must succeed; returns its output. */
export async function gitOk(t: Test, pod: RunningPod, args: readonly string[], options?: InContainer): Promise<string> {
  const { code, stdout, stderr } = await git(pod, args, options);
  t.equal(code, 0, `git ${args.join(' ')}${code === 0 ? '' : `: ${stderr}`}`);
  return stdout;
}

/** Shells that may be an image's `/bin/sh`: the program, and how it is called. */
export const SHELLS: readonly (readonly [string, readonly string[]])[] = [
  ['dash', ['dash']],
  ['bash', ['bash']],
  ['bash', ['bash', '--posix']],
  ['busybox', ['busybox', 'sh']],
  ['mksh', ['mksh']],
  // As it is where it is installed as `sh`.
  ['zsh', ['zsh', '--emulate', 'sh']],
];

/** Calls the credential helper as git does. */
export function askHelper(
  pod: RunningPod,
  input: string,
  shell: readonly string[] = ['/bin/sh'],
  action = 'get',
): Promise<RunResult> {
  return pod.run('build', [...shell, pod.locate('/etc/ado-git/helper'), action], { input });
}

/** Reason to skip a test that needs the program, or false where it is installed. With CI set, nothing is skipped. */
export function skipWithout(program: string): string | false {
  if (process.env['CI'] === 'true' || spawnSync(program, ['--help']).error === undefined) return false;
  return `${program} is not installed`;
}

/** The demo from start to end: the product's real programs and this machine's git among emulators. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type AzureEmulator, checkGit, createPrograms, type Programs, startAzureEmulator } from '../emulators/index.js';
import { runAdmissionChapter } from './chapters/admission.js';
import { runGitChapter } from './chapters/git.js';
import { runOutagesChapter } from './chapters/outages.js';
import { runStartChapter } from './chapters/start.js';
import { runStopChapter } from './chapters/stop.js';
import { createContext, IDENTITIES, NAMESPACE } from './context.js';
import { createSteps, StepFailed, type Steps } from './steps.js';
import type { Terminal } from './terminal.js';
import { prepareWebhookEnvironment, WEBHOOK_HOST } from './webhook-environment.js';
import { type RunningWebhook, startWebhook } from './webhook-process.js';

export interface ChaptersOptions {
  /** Directory of `cli.cjs` and `sidecar.cjs`. */
  readonly bundles: string;
  /** An empty directory for everything that the demo writes. */
  readonly directory: string;
  /** Where `git` is found. */
  readonly searchPath: string;
  readonly terminal: Terminal;
  /** Ends the demo early. */
  readonly stop: AbortSignal;
}

/** What the chapters need, and how it is stopped. */
interface Setup extends ChaptersOptions {
  readonly programs: Programs;
  readonly steps: Steps;
  readonly closers: (() => Promise<void>)[];
}

/** Runs all chapters; returns whether all steps passed. It leaves no process and no open port behind. */
export async function runChapters(options: ChaptersOptions): Promise<boolean> {
  const { terminal, stop } = options;
  const started = performance.now();
  const programs = createPrograms();
  const steps = createSteps(terminal, stop);
  const closers: Setup['closers'] = [];
  stop.addEventListener('abort', programs.stopAll);
  try {
    await runEachChapter({ ...options, programs, steps, closers });
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    terminal.close(true, `Success: ${steps.summarize()} in ${seconds} s.`);
    return true;
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    terminal.close(false, `Failure: a step failed after ${steps.summarize()}.`);
    return false;
  } finally {
    stop.removeEventListener('abort', programs.stopAll);
    programs.stopAll();
    for (const close of closers.reverse()) await close();
  }
}

async function runEachChapter(setup: Setup): Promise<void> {
  const { terminal, steps, programs, bundles, searchPath } = setup;
  terminal.chapter('The emulators start');
  const directory = join(setup.directory, 'pods');
  await mkdir(directory);
  const azure = await startEmulators(setup);
  const webhook = await startDemoWebhook(setup, azure);
  const context = createContext({
    programs,
    azure,
    webhook,
    terminal,
    step: steps.step,
    skip: steps.skip,
    directory,
    sidecarProgram: join(bundles, 'sidecar.cjs'),
    searchPath,
  });
  const patched = await runAdmissionChapter(context);
  const builder = await runStartChapter(context, patched);
  await runGitChapter(context, builder);
  await runOutagesChapter(context, builder);
  await runStopChapter(context);
}

async function startEmulators({ directory, searchPath, steps, closers }: Setup): Promise<AzureEmulator> {
  return steps.step('Entra, Azure DevOps and a proxy to them listen on the loopback interface', async () => {
    await checkGit(searchPath);
    const azureDirectory = join(directory, 'azure');
    await mkdir(azureDirectory);
    const identities = Object.values(IDENTITIES);
    const azure = await startAzureEmulator({ directory: azureDirectory, identities, searchPath });
    closers.push(azure.close);
    return azure;
  });
}

async function startDemoWebhook(
  { directory, bundles, programs, steps, closers }: Setup,
  azure: AzureEmulator,
): Promise<RunningWebhook> {
  return steps.step('the webhook has read the service accounts and is ready', async () => {
    const webhookDirectory = join(directory, 'webhook');
    await mkdir(webhookDirectory);
    const accounts = Object.entries(IDENTITIES).map(([name, { clientId }]) => ({ name, clientId }));
    const { env, close } = await prepareWebhookEnvironment(azure, webhookDirectory, NAMESPACE, [
      ...accounts,
      { name: 'stranger' },
    ]);
    closers.push(close);
    return startWebhook({
      programs,
      // The command, as webhook.cjs does not read kubeconfig files.
      command: [process.execPath, join(bundles, 'cli.cjs'), 'webhook'],
      env,
      authorityPem: azure.authority.certificatePem,
      serverName: WEBHOOK_HOST,
    });
  });
}

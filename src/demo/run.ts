/** The play that `demo` performs: the product's real programs and the machine's git among stand-ins. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkGit,
  createPrograms,
  type Programs,
  type RunningWebhook,
  startAzureEmulator,
  startWebhook,
} from '../emulators/index.js';
import { runAdmissionChapter } from './chapters/admission.js';
import { runGitChapter } from './chapters/git.js';
import { runOutagesChapter } from './chapters/outages.js';
import { runStartChapter } from './chapters/start.js';
import { type Context, createScene, IDENTITIES, NAMESPACE } from './context.js';
import { check, createSteps, StepFailed, type Steps } from './steps.js';
import type { Terminal } from './terminal.js';
import { prepareWebhookEnvironment, WEBHOOK_HOST } from './webhook-environment.js';

export interface PlayOptions {
  /** Directory of `cli.cjs` and `sidecar.cjs`. */
  readonly bundles: string;
  /** An empty directory for everything that the play writes. */
  readonly directory: string;
  /** Where `git` is found. */
  readonly searchPath: string;
  readonly terminal: Terminal;
  /** Aborted when the user has seen enough. */
  readonly stop: AbortSignal;
}

/** Performs the play; returns whether everything was as it must be. Nothing runs on when it has ended. */
export async function runChapters(options: PlayOptions): Promise<boolean> {
  const { terminal, stop } = options;
  const started = performance.now();
  const programs = createPrograms();
  const steps = createSteps(terminal, stop);
  const closers: (() => Promise<void>)[] = [];
  stop.addEventListener('abort', programs.endAll);
  try {
    await perform(options, programs, steps, closers);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    terminal.close(true, `Everything was as it must be: ${steps.sum()}, in ${seconds} s.`);
    return true;
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    terminal.close(false, `Not everything was as it must be; before that ${steps.sum()}.`);
    return false;
  } finally {
    stop.removeEventListener('abort', programs.endAll);
    programs.endAll();
    for (const close of closers.reverse()) await close();
  }
}

async function perform(
  options: PlayOptions,
  programs: Programs,
  { step, skip }: Steps,
  closers: (() => Promise<void>)[],
): Promise<void> {
  const { terminal, searchPath, bundles } = options;
  const directory = { azure: join(options.directory, 'azure'), pods: join(options.directory, 'pods') };
  for (const path of Object.values(directory)) await mkdir(path);
  terminal.chapter('The emulators');
  const azure = await step('Entra, Azure DevOps and a proxy that leads to them listen on loopback', async () => {
    await checkGit(searchPath);
    const set = await startAzureEmulator({
      directory: directory.azure,
      identities: Object.values(IDENTITIES),
      searchPath,
    });
    closers.push(set.close);
    return set;
  });
  const webhook = await step('the webhook has read the service accounts, and is ready', async () => {
    const accounts = Object.entries(IDENTITIES).map(([name, { clientId }]) => ({ name, clientId }));
    const { env, close } = await prepareWebhookEnvironment(azure, directory.azure, NAMESPACE, [
      ...accounts,
      { name: 'stranger' },
    ]);
    closers.push(close);
    const authorityPem = azure.authority.certificatePem;
    return startWebhook({
      programs,
      // The command, as webhook.cjs does not read kubeconfig files.
      command: [process.execPath, join(bundles, 'cli.cjs'), 'webhook'],
      env,
      authorityPem,
      serverName: WEBHOOK_HOST,
    });
  });
  const sidecarProgram = join(bundles, 'sidecar.cjs');
  const context = createScene({
    programs,
    azure,
    webhook,
    terminal,
    step,
    skip,
    directory: directory.pods,
    sidecarProgram,
    searchPath,
  });

  const patched = await runAdmissionChapter(context);
  const builder = await runStartChapter(context, patched);
  await runGitChapter(context, builder);
  await runOutagesChapter(context, builder);
  await runClosing(context, webhook);
}

async function runClosing({ terminal, step, pods, azure }: Context, webhook: RunningWebhook): Promise<void> {
  terminal.chapter('The end');
  await step('the sidecars and the webhook end when they are asked to, with exit code 0', async () => {
    for (const pod of pods) check((await pod.stop()) === 0, `a sidecar did not end well:\n${pod.log.join('\n')}`);
    check((await webhook.stop()) === 0, `the webhook did not end well:\n${webhook.log.join('\n')}`);
  });
  const logs = [webhook, ...pods].flatMap(({ log }) => log);
  await step(`no token, nor anything that looks like one, stands in the ${logs.length} lines of their logs`, () => {
    const tokens = logs.filter((line) => /eyJ[\w-]{10}/.test(line));
    check(tokens.length === 0, `a log holds a token; ${tokens.length} lines`);
    return Promise.resolve();
  });
  const hosts = [...new Set(azure.proxy.targets)].sort();
  terminal.tell(`What git and the sidecars connected to, through the proxy: ${hosts.join(', ')}.`);
}

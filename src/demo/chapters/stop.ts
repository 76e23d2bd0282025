/** Chapter 5: everything stops, and the logs contain no token. */
import type { Context } from '../context.js';
import { check } from '../steps.js';

export async function runStopChapter({ terminal, step, pods, azure, webhook }: Context): Promise<void> {
  terminal.chapter('Everything stops');
  await step('the sidecars and the webhook stop on SIGTERM with exit code 0', async () => {
    for (const pod of pods) check((await pod.stop()) === 0, `a sidecar did not stop cleanly:\n${pod.log.join('\n')}`);
    check((await webhook.stop()) === 0, `the webhook did not stop cleanly:\n${webhook.log.join('\n')}`);
  });
  const logs = [webhook, ...pods].flatMap(({ log }) => log);
  await step(`the ${logs.length} lines of their logs contain nothing that looks like a token`, () => {
    const tokens = logs.filter((line) => /eyJ[\w-]{10}/.test(line));
    check(tokens.length === 0, `${tokens.length} lines of the logs contain a token`);
    return Promise.resolve();
  });
  const hosts = [...new Set(azure.proxy.targets)].sort();
  terminal.explain(`Hosts to which git and the sidecars connected through the proxy: ${hosts.join(', ')}.`);
}

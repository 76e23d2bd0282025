/** What the log says of a replica that the API server can't verify yet. */
import t from 'tap';
import { waitUntilVerified } from '../../src/certificates/verify.js';
import { createLogger } from '../../src/log.js';
import { epochMs } from '../../src/time.js';

/** Tries so often, then stops. @returns the lines of the log: level and cause. */
async function tryTimes(times: number, readCaBundle: () => string | undefined): Promise<string[]> {
  const stop = new AbortController();
  const lines: string[] = [];
  const write = (line: string): void => {
    const { level, why } = JSON.parse(line) as { level: string; why: string };
    lines.push(`${level}: ${why}`);
  };
  let tries = 0;
  const isVerified = await waitUntilVerified({
    port: 1,
    namespace: 'ado-git',
    readCaBundle: () => Promise.resolve(readCaBundle()),
    sleep: () => {
      tries += 1;
      if (tries === times) stop.abort();
      return Promise.resolve();
    },
    signal: stop.signal,
    log: createLogger('debug', write, () => epochMs(0)),
  });
  t.notOk(isVerified);
  return lines;
}

void t.test('what passes within seconds, as at every upgrade, is for debugging only', async (t) => {
  const cause = 'the caBundle of the webhook configuration is not known to this replica yet';
  t.strictSame(await tryTimes(10, () => undefined), [`debug: ${cause}`]);
  t.strictSame(await tryTimes(30, () => undefined), [`debug: ${cause}`, `info: ${cause}`], 'what lasts is said once');
});

void t.test('each cause is said', async (t) => {
  let reads = 0;
  const none = 'the webhook configuration has no caBundle yet';
  const unknown = 'the caBundle of the webhook configuration is not known to this replica yet';
  t.strictSame(await tryTimes(30, () => (++reads > 20 ? '\n' : undefined)), [
    `debug: ${unknown}`,
    `info: ${unknown}`,
    `info: ${none}`,
  ]);
});

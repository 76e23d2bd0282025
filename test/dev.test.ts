/** `npm run dev`: the webhook is bundled from its source, started with the development defaults, and started again. */
import { spawn } from 'node:child_process';
import { utimesSync } from 'node:fs';
import t from 'tap';
import { waitForEvent, waitUntil } from './support/wait.js';

void t.test('the webhook runs from its source, and again after a change', async (t) => {
  const directory = t.testdir({ 'tls.crt': '', 'tls.key': '' });
  const dev = spawn(process.execPath, ['dev.mjs', '--inspect=0'], {
    env: {
      PATH: process.env.PATH,
      KUBECONFIG: `${directory}/none`,
      ADO_GIT_TLS_CERT_FILE: `${directory}/tls.crt`,
      ADO_GIT_TLS_KEY_FILE: `${directory}/tls.key`,
    },
  });
  t.teardown(() => dev.kill('SIGKILL'));
  let output = '';
  for (const stream of [dev.stdout, dev.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));

  const countEnds = (): number => output.split('exit code 2; waiting for a change').length - 1;
  await waitUntil('the first end of the webhook', () => countEnds() === 1);
  t.match(output, 'Debugger listening');
  t.match(output, `${directory}/none`, 'the message names the file');
  utimesSync('src/webhook/run.ts', new Date(), new Date());
  await waitUntil('the second end of the webhook', () => countEnds() === 2);
  dev.kill('SIGTERM');
  const [code] = (await waitForEvent('the end of the program', dev, 'exit', { withinSeconds: 60 })) as [number | null];
  t.equal(code, 0);
});

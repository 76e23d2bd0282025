/** How the API server is found: from a pod, and by kubeconfig files. */
import { writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import t from 'tap';
import { connect } from '../../src/kubernetes/connect.js';
import { connectInPod } from '../../src/kubernetes/in-cluster.js';
import { addMs, epochMs } from '../../src/time.js';

const START = epochMs(Date.UTC(2030, 0, 1));
const POD = { kind: 'pod', serviceHost: '10.0.0.1', servicePort: '443' } as const;

void t.test('a pod reads its token again once a minute', async (t) => {
  const directory = t.testdir({ token: 'first\n', 'ca.crt': 'authority' });
  let now = START;
  const connection = await connectInPod(POD, () => now, directory);
  t.equal(connection.server.origin, 'https://10.0.0.1');
  const first = { ca: 'authority', headers: { authorization: 'Bearer first' } };
  t.strictSame(await connection.authorize(), first);

  writeFileSync(join(directory, 'token'), 'second\n');
  now = addMs(START, 59_999);
  t.strictSame(await connection.authorize(), first);
  now = addMs(START, 60_000);
  t.match(await connection.authorize(), { headers: { authorization: 'Bearer second' } });
});

void t.test('an IPv6 address is put in brackets', async (t) => {
  const directory = t.testdir({ token: 'a', 'ca.crt': 'b' });
  const pod = { ...POD, serviceHost: 'fd00::1', servicePort: '6443' };
  t.equal((await connectInPod(pod, () => START, directory)).server.href, 'https://[fd00::1]:6443/');
});

void t.test('a file that is missing is named, with the setting that mounts it', async (t) => {
  const directory = t.testdir({ token: 'a' });
  await t.rejects(
    connectInPod(POD, () => START, directory),
    { code: 'configuration', message: /ca\.crt can't be read \(ENOENT.*automountServiceAccountToken$/ },
  );
});

void t.test('several kubeconfig files are read as one', async (t) => {
  const write = (parts: object): string => JSON.stringify({ apiVersion: 'v1', kind: 'Config', ...parts });
  const cluster = { server: 'https://api.example:6443/prefix', 'proxy-url': 'http://127.0.0.1:3128' };
  const directory = t.testdir({
    clusters: write({ clusters: [{ name: 'c', cluster: { ...cluster, 'proxy-url': undefined } }] }),
    proxied: write({ clusters: [{ name: 'c', cluster }] }),
    context: write({
      'current-context': 'x',
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      users: [{ name: 'u', user: { token: 'secret' } }],
    }),
  });
  const connectBy = (...names: string[]) =>
    connect({ kind: 'kubeconfig', path: names.map((name) => join(directory, name)).join(delimiter) }, () => START);
  const connection = await connectBy('context', 'clusters');
  t.equal(connection.server.href, 'https://api.example:6443/prefix');
  const options = await connection.authorize();
  t.match(options.headers, { Authorization: 'Bearer secret' });
  t.notOk('agent' in options, 'the connections are those of the client');
  t.ok('agent' in (await (await connectBy('context', 'proxied')).authorize()), 'but for those to a proxy');

  await t.rejects(connectBy('context'), { code: 'configuration', message: /no current context with a cluster/ });
  await t.rejects(connectBy('none'), { code: 'configuration', message: /\(KUBECONFIG\) can't be read: ENOENT/ });
});

/** Origins and proxies: one judgement for every program. */
import t from 'tap';
import { type Proxy, readOrigin, readProxy } from '../../src/values/urls.js';
import { readWebhookConfig } from '../../src/webhook/config.js';

void t.test('an https origin', (t) => {
  const cases: [text: string, origin: string | undefined][] = [
    ['https://login.microsoftonline.us', 'https://login.microsoftonline.us'],
    ['HTTPS://Login.Example:8443//', 'https://login.example:8443'],
    ['https://login.example:443', 'https://login.example'],
    ['https://[::1]:8443', 'https://[::1]:8443'],
    ['http://login.example', undefined],
    ['login.example', undefined],
    ['https://', undefined],
    ['https://h/path', undefined],
    ['https://h?', undefined],
    ['https://h#', undefined],
    ['https://h\\path', undefined],
    ['https://h\nh', undefined],
    ['https://h:99999', undefined],
    ['https://user@h', undefined],
    ['https://:secret@h', undefined],
  ];
  for (const [text, origin] of cases) {
    const reading = readOrigin(text);
    t.equal('value' in reading ? reading.value : undefined, origin, text);
    if ('problem' in reading)
      t.equal(reading.hidden, text.includes('@'), `${text}: hidden where a password may be in it`);
  }
  t.end();
});

const PROXIES: readonly [text: string, proxy: Proxy | undefined][] = [
  ['http://proxy.example:3128', { host: 'proxy.example', port: 3128 }],
  ['http://proxy.example/', { host: 'proxy.example', port: 80 }],
  ['proxy.example:3128', { host: 'proxy.example', port: 3128 }],
  ['proxy.example', { host: 'proxy.example', port: 80 }],
  ['http://[fd00::1]:8080', { host: 'fd00::1', port: 8080 }],
  ['https://proxy.example:443', undefined],
  ['socks5://proxy.example:1080', undefined],
  ['http://user:password@proxy.example', undefined],
  ['user:password@proxy.example', undefined],
  ['http://proxy.example/path', undefined],
  ['http://proxy.example?', undefined],
  ['http://', undefined],
];

void t.test('a proxy', (t) => {
  for (const [text, proxy] of PROXIES) {
    const reading = readProxy(text);
    t.strictSame('value' in reading ? reading.value : undefined, proxy, text);
    if ('problem' in reading) t.equal(reading.hidden, true, `${text} is not shown`);
  }
  t.end();
});

void t.test('the webhook takes the proxies that the sidecar takes, and hands them on as they are written', (t) => {
  for (const [text, proxy] of PROXIES) {
    const read = () =>
      readWebhookConfig({
        ADO_GIT_TLS_CERT_FILE: 'tls.crt',
        ADO_GIT_TLS_KEY_FILE: 'tls.key',
        ADO_GIT_SIDECAR_IMAGE: 'image:1',
        KUBECONFIG: 'kubeconfig',
        ADO_GIT_SIDECAR_HTTPS_PROXY: text,
      });
    if (proxy === undefined) {
      t.throws(read, { message: /^ADO_GIT_SIDECAR_HTTPS_PROXY is not http:\/\/HOST:PORT [^\n]+\.$/ }, text);
    } else {
      t.equal(read().defaults.httpsProxy, text);
    }
  }
  t.end();
});

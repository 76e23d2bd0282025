/** The sidecar's configuration: everything wrong at once, and what is reached past the proxy. */
import t from 'tap';
import { createAuthority } from '../../src/certificates/authority.js';
import { ConfigurationError } from '../../src/errors.js';
import { readPlace, readSidecarConfig } from '../../src/sidecar/config.js';
import { bypassesProxy } from '../../src/sidecar/proxy.js';
import { epochMs } from '../../src/time.js';
import { readSettings } from '../../src/values/environment.js';
import { CLIENT, TENANT } from '../support/sidecar-fixture.js';

const MINIMAL = { ADO_GIT_CLIENT_ID: CLIENT, ADO_GIT_TENANT_ID: TENANT };

void t.test('defaults and accepted values', async (t) => {
  t.strictSame(readSidecarConfig({ ...MINIMAL, ADO_GIT_IDENTITIES: '', ADO_GIT_PORT: ' ' }), {
    identity: { clientId: CLIENT, tenantId: TENANT, authority: 'https://login.microsoftonline.com' },
    tokenFile: '/var/run/secrets/ado-git/token',
    directory: '/var/run/ado-git',
    port: 8779,
    startup: 'proceed',
    mode: 'helper',
    organizations: [],
    logLevel: 'info',
    extraCa: undefined,
    proxy: undefined,
  });
  t.ok(Object.isFrozen(readSidecarConfig(MINIMAL)));
  const { certificatePem } = await createAuthority({ commonName: 'a', days: 1, now: epochMs(Date.now()) });
  const cases: [Record<string, string>, object][] = [
    [
      { ADO_GIT_AUTHORITY_HOST: ' https://login.microsoftonline.us/ ' },
      { identity: { authority: 'https://login.microsoftonline.us' } },
    ],
    [
      { ADO_GIT_AUTHORITY_HOST: 'https://Login.Example:8443//' },
      { identity: { authority: 'https://login.example:8443' } },
    ],
    [{ ADO_GIT_TENANT_ID: 'shop.onmicrosoft.com' }, { identity: { tenantId: 'shop.onmicrosoft.com' } }],
    [
      { ADO_GIT_DIRECTORY: '/tmp/x//', ADO_GIT_PORT: '0' },
      { directory: '/tmp/x', port: 0 },
    ],
    [{ ADO_GIT_ORGANIZATIONS: 'a, b' }, { organizations: ['a', 'b'] }],
    [{ ADO_GIT_EXTRA_CA: '/etc/ca.crt' }, { extraCa: { kind: 'file', path: '/etc/ca.crt' } }],
    [{ ADO_GIT_EXTRA_CA: `${certificatePem}\n` }, { extraCa: { kind: 'pem' } }],
    [{ ADO_GIT_EXTRA_CA: `# Company root\n${certificatePem}` }, { extraCa: { kind: 'pem' } }],
    [{ HTTPS_PROXY: 'http://proxy:3128' }, { proxy: { host: 'proxy', port: 3128 } }],
    [{ https_proxy: 'http://proxy:3128', NO_PROXY: '.microsoftonline.com' }, { proxy: undefined }],
  ];
  for (const [changes, expected] of cases)
    t.match(readSidecarConfig({ ...MINIMAL, ...changes }), expected, JSON.stringify(changes).slice(0, 80));
});

void t.test('each wrong value has a line that names it, all at once', (t) => {
  const wrong: [string, string, RegExp?][] = [
    ['ADO_GIT_CLIENT_ID', 'not-a-guid', /"not-a-guid" is not a client id; /],
    ['ADO_GIT_TENANT_ID', 'a/b', /"a\/b" is not a tenant; /],
    [
      'ADO_GIT_AUTHORITY_HOST',
      'http://login.microsoftonline.com',
      /"http:\/\/login.microsoftonline.com" is not an https origin; /,
    ],
    ['ADO_GIT_PORT', '1023', /"1023" is not a port from 1024 to 65535, and not "0"/],
    ['ADO_GIT_STARTUP', 'maybe', /"maybe" is not known; write proceed, wait or require/],
    ['ADO_GIT_MODE', 'gateway', /"gateway" is not available yet/],
    ['ADO_GIT_IDENTITIES', 'org=id', /not available yet/],
    ['ADO_GIT_LOG_LEVEL', 'loud', /"loud" is not known; write error, warn, info or debug/],
    [
      'ADO_GIT_EXTRA_CA',
      '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----',
      /^ADO_GIT_EXTRA_CA holds a PEM certificate \(1 of 1\) that can't be parsed/,
    ],
    ['HTTPS_PROXY', 'http://me:secret@proxy:1', /^HTTPS_PROXY is not http:\/\/HOST:PORT/],
  ];
  const problems = catchProblems(Object.fromEntries(wrong.map(([name, value]) => [name, value])));
  t.equal(problems.length, wrong.length);
  for (const [name, , words] of wrong) {
    const problem = problems.find((candidate) => candidate.startsWith(name)) ?? '';
    t.match(problem, words, name);
    t.match(problem, /^[^\n]+\.$/, 'one line, with a full stop');
  }
  t.notOk(problems.join('\n').includes('secret'), 'no password in a message');
  t.match(catchProblems({}), [/ADO_GIT_CLIENT_ID is missing/, /ADO_GIT_TENANT_ID is missing/]);
  for (const authority of [
    'login',
    'https://u:p@h',
    'https://h/path',
    'https://h?q',
    'https://h#f',
    'https://',
    'ftp://h',
    'https://h:99999',
  ]) {
    t.match(catchProblems({ ...MINIMAL, ADO_GIT_AUTHORITY_HOST: authority }), [/^ADO_GIT_AUTHORITY_HOST/], authority);
  }
  for (const port of ['-1', '65536', '8779x', '1e4', '80']) {
    t.match(catchProblems({ ...MINIMAL, ADO_GIT_PORT: port }), [/^ADO_GIT_PORT/], port);
  }
  t.end();
});

function catchProblems(environment: Record<string, string>): readonly string[] {
  try {
    readSidecarConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

void t.test('a proxy that can not be used is reported by the name that was set', (t) => {
  t.match(catchProblems({ ...MINIMAL, https_proxy: 'socks5://proxy:1080' }), [/^https_proxy is not http:/]);
  t.end();
});

void t.test('the probe finds the sidecar where it listens', (t) => {
  const environment = { ...MINIMAL, ADO_GIT_DIRECTORY: ' /tmp/x/ ', ADO_GIT_PORT: ' 0 ' };
  const { directory, port } = readSidecarConfig(environment);
  t.strictSame(readSettings(environment, readPlace), { directory, port });
  t.strictSame([directory, port], ['/tmp/x', 0]);
  t.end();
});

void t.test('NO_PROXY', (t) => {
  const cases: [noProxy: string, target: string, bypasses: boolean][] = [
    ['', 'https://login.example', false],
    ['*', 'https://login.example', true],
    ['login.example', 'https://LOGIN.example', true],
    ['example', 'https://login.example', true],
    ['.example', 'https://login.example', true],
    ['*.example', 'https://login.example', true],
    ['a, b ,login.example', 'https://login.example', true],
    ['ample', 'https://login.example', false],
    ['in.example', 'https://login.example', false],
    ['login.example:443', 'https://login.example', true],
    ['login.example:8443', 'https://login.example', false],
    ['login.example:8443', 'https://login.example:8443', true],
    ['.', 'https://login.example', false],
    ['10.0.0.1', 'https://10.0.0.1', true],
    ['10.0.0.1:443', 'https://10.0.0.1', true],
    ['10.0.0.0/8', 'https://10.1.2.3', true],
    ['10.0.0.0/8', 'https://11.1.2.3', false],
    ['10.0.0.0/8', 'https://10.example', false],
    ['10.0.0.0/99', 'https://10.1.2.3', false],
    ['fd00::/8', 'https://[fd12::1]', true],
    ['[fd12::1]:443', 'https://[fd12::1]', true],
    ['fd12::1', 'https://[fd12::1]', true],
    ['fd12::/16', 'https://10.1.2.3', false],
  ];
  for (const [noProxy, target, bypasses] of cases)
    t.equal(bypassesProxy(noProxy, new URL(target)), bypasses, `${noProxy} for ${target}`);
  t.end();
});

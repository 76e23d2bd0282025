/** The emulators are as strict as the services. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { decodeJwt } from 'jose';
import t from 'tap';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import {
  type AccessToken,
  createOrganizations,
  createTokenIssuer,
  LFS_CONTENT,
  startAzureDevOpsEmulator,
  startConnectProxy,
  translatePaths,
  writeVolume,
} from '../../src/emulators/index.js';
import { addMs, epochMs } from '../../src/time.js';
import { waitForEvent } from '../support/wait.js';

const now = epochMs(Date.now());
const TENANT = 'tenant';
const TOKENS: Readonly<Record<string, AccessToken>> = {
  good: { clientId: 'writer', tenantId: TENANT, expiresAtMs: addMs(now, 3_600_000) },
  reading: { clientId: 'reader', tenantId: TENANT, expiresAtMs: addMs(now, 3_600_000) },
  expired: { clientId: 'writer', tenantId: TENANT, expiresAtMs: addMs(now, -1) },
  elsewhere: { clientId: 'writer', tenantId: 'another tenant', expiresAtMs: addMs(now, 3_600_000) },
  stranger: { clientId: 'stranger', tenantId: TENANT, expiresAtMs: addMs(now, 3_600_000) },
};
const directory = mkdtempSync(join(realpathSync(tmpdir()), 'ado-git-emulators-'));
const authority = await createAuthority({ commonName: 'test', days: 1, now });
const dnsNames = ['dev.azure.com', '*.visualstudio.com'];
const certificate = await issueCertificate(authority, { commonName: 'emulators', dnsNames, days: 1, now });
const searchPath = process.env['PATH'] ?? '';
const members = { contoso: { writer: 'write', reader: 'read' } } as const;
const azureDevOps = await startAzureDevOpsEmulator({
  certificate,
  root: directory,
  organizations: await createOrganizations(directory, TENANT, members, searchPath),
  findToken: (token) => TOKENS[token],
  now: () => now,
  searchPath,
});
t.teardown(async () => {
  await azureDevOps.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Asked {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function ask(
  url: string,
  { as, agent = 'git/2.39.5', body }: { as?: string; agent?: string; body?: string } = {},
): Promise<Asked> {
  const { hostname, pathname, search } = new URL(url);
  const call = request({
    ...{ host: '127.0.0.1', port: azureDevOps.port, servername: hostname, ca: authority.certificatePem, agent: false },
    ...{ method: body === undefined ? 'GET' : 'POST', path: pathname + search },
    headers: { Host: hostname, 'User-Agent': agent, ...(as === undefined ? {} : { Authorization: as }) },
  });
  call.end(body);
  const [response] = (await waitForEvent('the response', call, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

function basic(userName: string, token: string): string {
  return `Basic ${Buffer.from(`${userName}:${token}`).toString('base64')}`;
}

const API = 'https://dev.azure.com/contoso/payments/_git/api';
const FETCH = '/info/refs?service=git-upload-pack';
const PUSH = '/info/refs?service=git-receive-pack';

void t.test('what Azure DevOps answers, and to whom', async (t) => {
  const good = basic('anything', 'good');
  const cases: [string, string, string | undefined, number, RegExp][] = [
    ['anonymous', API + FETCH, undefined, 401, /^TF400813/],
    ['Basic with any user name', API + FETCH, good, 200, /service=git-upload-pack/],
    ['Basic without a user name', API + FETCH, basic('', 'good'), 401, /^TF400813/],
    ['Bearer', API + FETCH, 'Bearer good', 200, /service=git-upload-pack/],
    ['another scheme', API + FETCH, 'Negotiate good', 401, /^TF400813/],
    ['a token that was never issued', API + FETCH, basic('x', 'bad'), 401, /^TF400813/],
    ['an expired token', API + FETCH, basic('x', 'expired'), 401, /^TF400813/],
    ['a token of another tenant', API + FETCH, basic('x', 'elsewhere'), 401, /^TF400813/],
    ['no member', API + FETCH, basic('x', 'stranger'), 404, /^TF401019/],
    [
      'a member of another organization',
      `https://dev.azure.com/fabrikam/platform/_git/tools${FETCH}`,
      good,
      404,
      /^TF401019/,
    ],
    ['a reader fetches', API + FETCH, basic('x', 'reading'), 200, /service=git-upload-pack/],
    ['a reader pushes', API + PUSH, basic('x', 'reading'), 403, /^TF401027/],
    ['a writer pushes', API + PUSH, good, 200, /service=git-receive-pack/],
    ['a wrong repository', `https://dev.azure.com/contoso/payments/_git/none${FETCH}`, good, 404, /^TF401019/],
    ['.git at the end', `${API}.git${FETCH}`, good, 404, /^TF401019/],
    ['names in another case', `https://dev.azure.com/CONTOSO/Payments/_git/API${FETCH}`, good, 200, /upload-pack/],
    ['the short form', `https://dev.azure.com/contoso/_git/assets${FETCH}`, good, 200, /upload-pack/],
    ['_full', `https://dev.azure.com/contoso/payments/_git/_full/api${FETCH}`, good, 200, /upload-pack/],
    ['blanks', `https://dev.azure.com/contoso/Web%20Shop/_git/store%20front${FETCH}`, good, 200, /upload-pack/],
    ['the older host', `https://contoso.visualstudio.com/payments/_git/api${FETCH}`, good, 200, /upload-pack/],
    [
      'its collection',
      `https://contoso.visualstudio.com/DefaultCollection/payments/_git/_optimized/api${FETCH}`,
      good,
      200,
      /upload/,
    ],
    ['an unknown organization', `https://dev.azure.com/unknown/x/_git/x${FETCH}`, good, 404, /organization/],
    ['a path that is none', 'https://dev.azure.com/contoso/%zz', good, 404, /page/],
    ['nothing', 'https://dev.azure.com/', undefined, 404, /organization|page/],
    ['REST', 'https://dev.azure.com/contoso/_apis/git/repositories', 'Bearer good', 200, /"count":4/],
    ['REST, anonymous', 'https://dev.azure.com/contoso/_apis/git/repositories', undefined, 203, /<html>/],
  ];
  for (const [name, url, as, status, body] of cases) {
    const answer = await ask(url, as === undefined ? {} : { as });
    t.equal(answer.status, status, name);
    t.match(answer.body, body);
  }
});

void t.test('how it asks for a credential, and where it sends others than git', async (t) => {
  const { headers } = await ask(API + FETCH);
  t.match(
    headers['www-authenticate'],
    /^Bearer authorization_uri=https:\/\/login\.microsoftonline\.com\/tenant, Basic realm=.*, TFS-Federated$/,
  );
  t.equal(headers['x-vss-resourcetenant'], TENANT);
  const browser = await ask(API + FETCH, { agent: 'Mozilla/5.0' });
  t.equal(browser.status, 302);
  t.match(browser.headers.location, /^https:\/\/dev\.azure\.com\/_signin\?/);
  t.match(await ask(browser.headers.location ?? ''), { status: 200, body: /Sign In/ });
});

void t.test('throttled', async (t) => {
  azureDevOps.throttle(1, 7);
  t.match(await ask(API + FETCH, { as: 'Bearer good' }), {
    status: 429,
    headers: { 'retry-after': '7' },
    body: /^TF400733/,
  });
  t.equal((await ask(API + FETCH, { as: 'Bearer good' })).status, 200);
});

void t.test('LFS', async (t) => {
  const lfs = 'https://dev.azure.com/contoso/_git/assets.git/info/lfs';
  const stored = createHash('sha256').update(LFS_CONTENT).digest('hex');
  const absent = 'a'.repeat(64);
  const post = (path: string, body: string, as?: string): Promise<Asked> =>
    ask(`${lfs}/${path}`, { agent: 'git-lfs/3.3.0', body, ...(as === undefined ? {} : { as }) });
  const batch = (operation: string, oid: string): string => JSON.stringify({ operation, objects: [{ oid, size: 1 }] });

  t.equal((await post('objects/batch', batch('download', stored))).status, 401);
  t.equal((await post('objects/batch', 'no JSON', 'Bearer good')).status, 422);
  t.equal((await post('objects/batch', batch('upload', absent), 'Bearer reading')).status, 403);
  t.match(
    (await post('objects/batch', batch('upload', absent), 'Bearer good')).body,
    `"upload":{"href":"${lfs}/objects/${absent}"`,
  );
  t.match(
    (await post('objects/batch', batch('download', stored), 'Bearer reading')).body,
    `"download":{"href":"${lfs}/objects/${stored}"`,
  );
  t.match((await post('objects/batch', batch('download', absent), 'Bearer good')).body, '"code":404');
  t.equal((await post('locks/verify', '{}', 'Bearer good')).body, '{"ours":[],"theirs":[]}');
  t.match(await ask(`${lfs}/objects/${stored}`, { as: 'Bearer reading' }), { status: 200, body: LFS_CONTENT });
  t.equal((await ask(`${lfs}/objects/${absent}`, { as: 'Bearer good' })).status, 404);
});

void t.test('the proxy connects to the hosts it knows, refuses the rest, and records all', async (t) => {
  const proxy = await startConnectProxy((host, port) =>
    host === 'dev.azure.com' && port === 443 ? azureDevOps.port : undefined,
  );
  t.teardown(() => proxy.close());
  for (const [target, answer] of [
    ['DEV.azure.com:443', /^HTTP\/1\.1 200 /],
    ['dev.azure.com:22', /^HTTP\/1\.1 403 /],
    ['example.com:443', /^HTTP\/1\.1 403 /],
  ] as const) {
    const socket = connect(proxy.port, '127.0.0.1');
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    const [chunk] = (await waitForEvent('the first data', socket, 'data')) as [Buffer];
    t.match(chunk.toString(), answer, target);
    socket.destroy();
  }
  t.strictSame(proxy.targets, ['DEV.azure.com:443', 'dev.azure.com:22', 'example.com:443']);
});

void t.test('volumes are written as the kubelet does', async (t) => {
  const volume = join(t.testdir(), 'volume');
  await writeVolume(volume, { token: 'one' }, 0o600);
  const first = realpathSync(join(volume, 'token'));
  await writeVolume(volume, { token: 'two' }, 0o600);
  t.equal(readFileSync(join(volume, 'token'), 'utf8'), 'two');
  t.equal(readFileSync(first, 'utf8'), 'one', 'a reader that opened the old file still has it');
  t.equal(statSync(join(volume, 'token')).mode & 0o777, 0o600);
  t.equal(
    translatePaths(
      '/etc/ado-git/helper /etc/ado-git-ca /var/run/ado-git /var/run/secrets/ado-git/token /etc/gitconfig',
      '/x',
    ),
    '/x/etc/ado-git/helper /etc/ado-git-ca /x/var/run/ado-git /x/var/run/secrets/ado-git/token /x/etc/gitconfig',
  );
});

void t.test('the projected token has the claims of a real one', async (t) => {
  const issuer = await createTokenIssuer('https://issuer.example/', () => now);
  const token = await issuer.mintToken({
    namespace: 'ci',
    serviceAccount: 'builder',
    pod: 'builder-1',
    audience: 'api://AzureADTokenExchange',
    lifetimeSeconds: 3600,
  });
  const claims = decodeJwt(token);
  t.match(claims, {
    iss: 'https://issuer.example/',
    sub: 'system:serviceaccount:ci:builder',
    aud: ['api://AzureADTokenExchange'],
    iat: Math.floor(now / 1000),
    nbf: Math.floor(now / 1000),
    exp: Math.floor(now / 1000) + 3600,
    'kubernetes.io': { namespace: 'ci', pod: { name: 'builder-1' }, serviceaccount: { name: 'builder' } },
  });
});

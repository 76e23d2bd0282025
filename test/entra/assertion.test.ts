/** The assertion that the sidecar reads, and the request that presents it. */
import fc from 'fast-check';
import t from 'tap';
import { readAssertion } from '../../src/entra/assertion.js';
import { buildTokenRequest } from '../../src/entra/request.js';
import { epochMs } from '../../src/time.js';
import { CONTEXT, NOW } from '../support/entra-fixture.js';

void t.test('the assertion is read, not verified', (t) => {
  const make = (claims: object): string =>
    `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
  const read = (content: string): unknown => readAssertion(content, '/token', NOW);
  const claims = { iss: 'https://issuer', sub: 'system:serviceaccount:ü:b', aud: ['a', 'b'], exp: NOW / 1000 + 1 };
  t.match(read(` ${make(claims)}\n`), {
    kind: 'assertion',
    assertion: make(claims),
    claims: { issuer: claims.iss, subject: claims.sub, audience: 'a', expiresAtSeconds: claims.exp },
  });
  t.match(read(make({ sub: 'a\nb', exp: 1e300 })), {
    claims: { issuer: '(none)', subject: 'a b', expiresAtSeconds: undefined },
  });
  t.match(read(make({ ...claims, exp: NOW / 1000 - 200 })), { kind: 'assertion' }, 'within the clocks’ difference');
  const bad: [string, string][] = [
    ['assertion-empty', ' \n'],
    ['assertion-malformed', 'abc'],
    ['assertion-malformed', 'a.b.c'],
    ['assertion-malformed', `${make(claims)}\n${make(claims)}`],
    ['assertion-malformed', make([])],
    ['assertion-expired', make({ ...claims, exp: NOW / 1000 - 400 })],
  ];
  for (const [code, content] of bad) t.match(read(content), { kind: 'failure', failure: { code, class: 'assertion' } });
  fc.assert(
    fc.property(fc.string(), (content) => typeof readAssertion(content, '/token', epochMs(0)).kind === 'string'),
  );
  t.end();
});

void t.test('the request', (t) => {
  const request = buildTokenRequest(CONTEXT, 'a.b-_.c');
  t.equal(request.url, `${CONTEXT.authority}/${CONTEXT.tenantId}/oauth2/v2.0/token`);
  t.strictSame(Object.fromEntries(new URLSearchParams(request.body)), {
    grant_type: 'client_credentials',
    client_id: CONTEXT.clientId,
    scope: '499b84ac-1321-427f-aa17-267ca6975798/.default',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: 'a.b-_.c',
  });
  t.equal(request.headers['content-length'], String(Buffer.byteLength(request.body)));
  t.end();
});

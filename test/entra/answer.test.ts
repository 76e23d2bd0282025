/** The pure core of the token's life: every row of the AADSTS table, answers of all kinds, the schedule's promises. */
import fc from 'fast-check';
import t from 'tap';
import { classify, listNumbers } from '../src/entra/aadsts.js';
import { judgeRepetition, parseAnswer, parseRetryAfter } from '../src/entra/answer.js';
import { readAssertion } from '../src/entra/assertion.js';
import { type Failure, type FailureClass, mayResolveByWaiting, toOneLine } from '../src/entra/failure.js';
import type { Presented } from '../src/entra/identity.js';
import { buildTokenRequest } from '../src/entra/request.js';
import { choosePause, chooseRenewal } from '../src/entra/schedule.js';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const SHOWN: Presented = {
  clientId: '11111111-2222-3333-4444-555555555555',
  tenantId: '99999999-8888-7777-6666-555555555555',
  authority: 'https://login.microsoftonline.com',
  claims: {
    issuer: 'https://issuer.example/cluster/',
    subject: 'system:serviceaccount:shop:builder',
    audience: 'api://AzureADTokenExchange',
    expiresAt: NOW / 1000 + 3600,
  },
};

/** Number, class, whether waiting can mend it, and words that its sentence must hold. */
const TABLE: [number, FailureClass, boolean, ...string[]][] = [
  [
    70021,
    'propagation',
    true,
    'some minutes',
    'federated-credential create',
    SHOWN.claims.issuer,
    SHOWN.claims.subject,
    '--audiences api://AzureADTokenExchange',
  ],
  [70025, 'propagation', true, 'has no federated credential', 'federated-credential create', SHOWN.claims.subject],
  [700211, 'config', false, 'issuer', 'slash', SHOWN.claims.issuer, 'federated-credential update'],
  [700212, 'config', false, 'audience', 'must be api://AzureADTokenExchange', 'federated-credential update'],
  [700213, 'config', false, 'subject', 'case', '--subject system:serviceaccount:shop:builder', 'shop/builder'],
  [7002138, 'config', false, 'subject', SHOWN.claims.subject],
  [7002131, 'config', false, 'expression', SHOWN.claims.subject],
  [700222, 'config', false, 'policy', SHOWN.clientId],
  [700226, 'config', false, 'policy'],
  [700227, 'config', false, 'policy'],
  [7000226, 'config', false, 'policy'],
  [7000272, 'retry-slowly', true, 'key', '30 minutes', '/openid/v1/jwks'],
  [90061, 'retry-slowly', true, 'https://issuer.example/cluster/.well-known/openid-configuration'],
  [700024, 're-read-once', true, 'clock', '2026-03-01T13:00:00.000Z'],
  [50013, 're-read-once', true, 'signature', '/openid/v1/jwks'],
  [500133, 're-read-once', true, 'signature'],
  [700027, 're-read-once', true, 'signature'],
  [70023, 'config', false, 'azure.workload.identity/service-account-token-expiration', '86400'],
  [700016, 'config', false, SHOWN.clientId, SHOWN.tenantId, 'azure.workload.identity/client-id', 'shop/builder'],
  [70001, 'config', false, SHOWN.clientId, SHOWN.tenantId],
  [700011, 'config', false, SHOWN.clientId, SHOWN.tenantId],
  [7000112, 'config', false, 'disabled', `az ad sp update --id ${SHOWN.clientId}`],
  [90002, 'config', false, SHOWN.tenantId, SHOWN.authority],
  [50049, 'config', false, SHOWN.authority],
  [500011, 'config', false, SHOWN.tenantId, 'Connect the organization'],
  [70011, 'our-defect', false, 'defect of ado-git-identity'],
  [1002012, 'our-defect', false, 'defect of ado-git-identity'],
  [53003, 'never-hammer', false, 'Conditional Access', 'address'],
  [900439, 'config', false, 'https://login.microsoftonline.us'],
  [90055, 'throttle', true, SHOWN.tenantId],
  [90006, 'transient', true, 'passing fault'],
  [90012, 'transient', true, 'passing fault'],
  [90024, 'transient', true, 'passing fault'],
  [90033, 'transient', true, 'passing fault'],
  [50196, 'loop', true, 'a minute or more'],
];

function refusal(aadsts: number, status = 401, error = 'invalid_client'): string {
  return JSON.stringify({
    error,
    error_description: `AADSTS${aadsts}: Words of Entra.\r\nTrace ID: tr\r\nCorrelation ID: co`,
    error_codes: [aadsts],
    trace_id: 'tr',
    correlation_id: 'co',
    status,
  });
}

function fail(body: string, status = 401, retryAfter?: string): Failure {
  const answer = parseAnswer({ status, body, retryAfter }, SHOWN, NOW);
  if (answer.kind !== 'failure') throw new Error('it gave a token');
  return answer.failure;
}

void t.test('each row of the AADSTS table', (t) => {
  t.strictSame([...listNumbers()].sort(), TABLE.map(([number]) => number).sort());
  for (const [number, kind, mends, ...words] of TABLE) {
    for (const status of [400, 401, 403, 503]) {
      const failure = fail(refusal(number, status), status);
      t.match(failure, { class: kind, aadsts: number, code: `AADSTS${number}`, traceId: 'tr', correlationId: 'co' });
      t.equal(failure.detail, `AADSTS${number}: Words of Entra.`);
      t.equal(mayResolveByWaiting(failure), mends, `${number}: waiting`);
      for (const word of words) t.ok(failure.message.includes(word), `${number} says ${word}: ${failure.message}`);
      t.ok(
        failure.message.length <= 1000 && failure.message.endsWith(`(AADSTS${number})`),
        `${number} is a sentence that fits`,
      );
    }
    t.equal(classify(number, SHOWN)?.quick, number === 700213 || number === 7002138);
  }
  t.end();
});

void t.test('answers that are no refusal of the table', (t) => {
  const cases: [string, number, string | undefined, Partial<Failure>][] = [
    ['', 500, undefined, { class: 'transient', code: 'http-500' }],
    ['<html>', 502, '7', { class: 'transient', code: 'http-502', retryAfter: 7 }],
    ['slow down', 429, '120', { class: 'throttle', code: 'http-429', retryAfter: 120, throttled: true }],
    ['', 408, undefined, { class: 'transient', code: 'http-408' }],
    ['<html>', 403, undefined, { class: 'bad-answer' }],
    ['', 302, undefined, { class: 'bad-answer' }],
    ['[]', 400, undefined, { class: 'bad-answer' }],
    ['{"error":"temporarily_unavailable"}', 400, undefined, { class: 'transient' }],
    ['{"error":"unauthorized_client"}', 400, undefined, { class: 'config', code: 'http-400' }],
    [refusal(1234567), 400, undefined, { class: 'config', code: 'AADSTS1234567' }],
    [refusal(1234567), 503, undefined, { class: 'transient', aadsts: 1234567 }],
    ['{"error":"x","error_codes":[1234567,700213]}', 400, undefined, { class: 'config', aadsts: 700213, quick: true }],
    ['{"error":"x","error_description":"AADSTS90002: no"}', 400, undefined, { class: 'config', aadsts: 90002 }],
    ['{"error":"x","error_codes":"90002","trace_id":5}', 400, undefined, { class: 'config', code: 'http-400' }],
    [refusal(700016), 429, '40', { class: 'config', retryAfter: 40, throttled: true }],
  ];
  for (const [body, status, retryAfter, expected] of cases) {
    t.match(fail(body, status, retryAfter), expected, `${status} ${body.slice(0, 60)}`);
  }
  const forged = JSON.stringify({ error: 'x', error_description: 'a\u001b[2J\rb\nstate=ready' });
  t.notMatch(fail(forged, 400).message, /\p{Cc}/u, 'no control character gets through');
  const assertion = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl';
  for (const key of ['error', 'error_description', 'trace_id', 'correlation_id']) {
    const echo = JSON.stringify({ error: 'x', [key]: `you sent client_assertion=${assertion}` });
    t.notMatch(
      JSON.stringify(fail(echo, 400)),
      'c2lnbmF0dXJl',
      `an assertion that comes back in ${key} goes no further`,
    );
  }
  t.end();
});

void t.test('tokens are taken only whole', (t) => {
  const good = { token_type: 'Bearer', expires_in: 3599, access_token: 'abc.def', refresh_in: 1800 };
  const parse = (body: object): ReturnType<typeof parseAnswer> =>
    parseAnswer({ status: 200, body: JSON.stringify(body) }, SHOWN, NOW);
  t.strictSame(parse(good), { kind: 'token', accessToken: 'abc.def', expiresIn: 3599, refreshIn: 1800 });
  t.match(parse({ access_token: 'a', expires_in: '86399' }), { expiresIn: 86399, refreshIn: undefined });
  t.match(parse({ ...good, refresh_in: -1 }), { kind: 'token', refreshIn: undefined });
  const bad: object[] = [
    { access_token: '' },
    { access_token: 'a\nb' },
    { access_token: 'a\r' },
    { access_token: 'a b' },
    { access_token: 7 },
    { access_token: undefined },
    { token_type: 'pop' },
    ...[0, -1, 0.5, null, 'soon', '1e9', 2 ** 53, 31 * 86400, undefined].map((expires_in) => ({ expires_in })),
  ];
  for (const part of bad) {
    t.match(parse({ ...good, ...part }), { kind: 'failure', failure: { class: 'bad-answer' } }, JSON.stringify(part));
  }
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 599 }),
      fc.oneof(fc.string(), fc.json()),
      fc.option(fc.string(), { nil: undefined }),
      (status, body, retryAfter) => {
        const answer = parseAnswer({ status, body, retryAfter }, SHOWN, NOW);
        return answer.kind === 'token' || answer.failure.message.length > 0;
      },
    ),
  );
  t.end();
});

void t.test('Retry-After', (t) => {
  const cases: [string | undefined, number | undefined][] = [
    [undefined, undefined],
    ['30', 30],
    [' 0 ', 0],
    ['Sun, 01 Mar 2026 12:01:30 GMT', 90],
    ['Sun, 01 Mar 2026 11:00:00 GMT', 0],
    ['soon', undefined],
    ['-5x', undefined],
  ];
  for (const [value, expected] of cases) t.equal(parseRetryAfter(value, NOW), expected, String(value));
  t.end();
});

void t.test('the assertion is read, not verified', (t) => {
  const make = (claims: object): string =>
    `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
  const read = (content: string): unknown => readAssertion(content, '/token', NOW / 1000);
  const claims = { iss: 'https://issuer', sub: 'system:serviceaccount:ü:b', aud: ['a', 'b'], exp: NOW / 1000 + 1 };
  t.match(read(` ${make(claims)}\n`), {
    kind: 'assertion',
    assertion: make(claims),
    claims: { issuer: claims.iss, subject: claims.sub, audience: 'a', expiresAt: claims.exp },
  });
  t.match(read(make({ sub: 'a\nb', exp: 1e300 })), {
    claims: { issuer: '(none)', subject: 'a b', expiresAt: undefined },
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
  fc.assert(fc.property(fc.string(), (content) => typeof readAssertion(content, '/token', 0).kind === 'string'));
  t.end();
});

void t.test('the request', (t) => {
  const request = buildTokenRequest(SHOWN, 'a.b-_.c');
  t.equal(request.url, `${SHOWN.authority}/${SHOWN.tenantId}/oauth2/v2.0/token`);
  t.strictSame(Object.fromEntries(new URLSearchParams(request.body)), {
    grant_type: 'client_credentials',
    client_id: SHOWN.clientId,
    scope: '499b84ac-1321-427f-aa17-267ca6975798/.default',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: 'a.b-_.c',
  });
  t.equal(request.headers['content-length'], String(Buffer.byteLength(request.body)));
  t.end();
});

void t.test('renewal', (t) => {
  const cases: [life: number, refreshIn: number | undefined, after: number][] = [
    [86400, undefined, 69120],
    [3600, undefined, 2880],
    [1200, undefined, 900],
    [900, undefined, 600],
    [600, undefined, 300],
    [90, undefined, 45],
    [2, undefined, 1],
    [86400, 43200, 43200],
    [86400, 60, 8640],
    [3600, 1, 360],
    [200, 5, 30],
    [40, 5, 20],
    [3600, 3599, 2880],
  ];
  for (const [life, refreshIn, after] of cases) {
    t.equal(chooseRenewal(life, refreshIn, 0), after, `life ${life}, refresh_in ${String(refreshIn)}`);
    t.ok(Math.abs(chooseRenewal(life, refreshIn, 1) - after - life * 0.05) < 1e-6, 'with all of the jitter');
  }
  const random = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200_000 }),
      fc.option(fc.integer({ min: 1, max: 300_000 }), { nil: undefined }),
      random,
      (life, refreshIn, chance) => {
        const after = chooseRenewal(life, refreshIn, chance);
        return after <= life * 0.85 + 1e-6 && after >= Math.min(life / 2, Math.max(life * 0.1, 30)) - 1e-6;
      },
    ),
  );
  t.end();
});

const CLASSES: FailureClass[] = [
  'propagation',
  'config',
  'retry-slowly',
  're-read-once',
  'never-hammer',
  'throttle',
  'transient',
  'our-defect',
  'loop',
  'assertion',
  'transport',
  'tls-untrusted',
  'proxy-refused',
  'bad-answer',
];

void t.test('pauses', (t) => {
  const pause = (part: Partial<Failure>, earlierFailures = 0, remaining?: number, without = 0): number =>
    choosePause({ class: 'transient', code: 'c', message: 'm', ...part }, { earlierFailures, remaining, without });
  const series = (part: Partial<Failure>, remaining?: number, without = 0): number[] =>
    [0, 1, 2, 3, 4, 5, 6].map((earlier) => pause(part, earlier, remaining, without));
  for (const kind of ['transient', 'propagation', 'throttle', 'assertion', 'transport', 'bad-answer'] as const) {
    t.strictSame(series({ class: kind }), [1, 2, 4, 5, 5, 5, 5], `${kind} without a token`);
    t.strictSame(series({ class: kind }, undefined, 120), [1, 2, 4, 8, 16, 30, 30], `${kind} after two minutes`);
    t.strictSame(series({ class: kind }, 3600), [1, 2, 4, 8, 16, 30, 30], `${kind} with a token`);
    t.strictSame(series({ class: kind }, 60), [1, 2, 4, 6, 6, 6, 6], `${kind} with a token that ends in a minute`);
    t.strictSame(series({ class: kind }, 5), [1, 1, 1, 1, 1, 1, 1], `${kind} with a token about to end`);
  }
  t.strictSame(series({ class: 'config', quick: true }), [1, 2, 4, 5, 5, 5, 5], '700213 is quick');
  t.strictSame(series({ class: 'config' }), Array(7).fill(60));
  for (const kind of ['retry-slowly', 'never-hammer', 'our-defect'] as const)
    t.strictSame(series({ class: kind }, 99), Array(7).fill(300));
  t.strictSame(series({ class: 'loop' }), [60, 120, 240, 300, 300, 300, 300]);
  t.equal(pause({ class: 're-read-once' }), 0);
  t.equal(pause({ retryAfter: 20 }), 5, 'Retry-After on 5xx can not pass the limit');
  t.equal(pause({ retryAfter: 20 }, 0, 3600), 20, 'but is considered');
  t.equal(pause({ retryAfter: 200 }, 0, 3600), 30);
  t.equal(pause({ class: 'throttle', retryAfter: 200, throttled: true }, 0, 10), 200, 'on 429 it is obeyed');
  t.equal(pause({ class: 'throttle', retryAfter: 0, throttled: true }, 2), 4);
  t.equal(pause({ class: 'config', retryAfter: 90, throttled: true }), 90);

  const once = fail(refusal(700024));
  t.equal(judgeRepetition(once, undefined).class, 're-read-once');
  t.equal(judgeRepetition(once, fail('', 503)).class, 're-read-once');
  const again = judgeRepetition(once, fail(refusal(50013)));
  t.equal(pause(again), 60, 'refused again, it is a matter of configuration');
  t.notOk(mayResolveByWaiting(again));
  t.equal(judgeRepetition(once, again).class, 'config');

  fc.assert(
    fc.property(
      fc.constantFrom(...CLASSES),
      fc.nat(2000),
      fc.option(fc.double({ min: 0, max: 1e5, noNaN: true }), { nil: undefined }),
      fc.nat(1e6),
      fc.option(fc.nat(1e9), { nil: undefined }),
      (kind, earlier, remaining, without, retryAfter) => {
        const seconds = pause(
          { class: kind, ...(retryAfter === undefined ? {} : { retryAfter }) },
          earlier,
          remaining,
          without,
        );
        return kind === 're-read-once' ? seconds === 0 : seconds >= 1 && seconds <= 300;
      },
    ),
  );
  t.end();
});

void t.test('what is shown is one printable line', (t) => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom('\0', '\r', '\n', '\u001b', '\u0085', '\u2028', ' ', 'a', 'é'),
        maxLength: 80,
      }),
      (text) => /^[^\p{Cc}\u2028\u2029]*$/u.test(toOneLine(text, 50)) && toOneLine(text, 50).length <= 50,
    ),
  );
  t.equal(toOneLine(' a\r\n\tb '), 'a b');
  t.end();
});

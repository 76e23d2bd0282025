/** Entra's answers: every row of the AADSTS table, refusals and tokens of all kinds. */
import fc from 'fast-check';
import t from 'tap';
import { classify, listNumbers } from '../../src/entra/aadsts.js';
import { parseAnswer } from '../../src/entra/answer.js';
import { type Failure, type FailureClass, mayResolveByWaiting, toOneLine } from '../../src/entra/failure.js';
import { CONTEXT, fail, IDS, NOW, refusal } from '../support/entra-fixture.js';

/** Number, class, whether waiting may resolve it, and words that its sentence must contain. */
type Case = [number, FailureClass, boolean, ...string[]];

/** Those that are retried within seconds at first, although their class has a fixed pause. */
const QUICK = new Set([700213, 7002138, 90061, 50166, 501661]);

const TABLE: Case[] = [
  [
    70021,
    'propagation',
    true,
    'some minutes',
    'federated-credential create',
    CONTEXT.claims.issuer,
    CONTEXT.claims.subject,
    '--audiences api://AzureADTokenExchange',
  ],
  [70025, 'propagation', true, 'has no federated credential', 'federated-credential create', CONTEXT.claims.subject],
  [700211, 'config', false, 'issuer', 'slash', CONTEXT.claims.issuer, 'federated-credential update'],
  [700212, 'config', false, 'audience', 'must be api://AzureADTokenExchange', 'federated-credential update'],
  [700213, 'config', false, 'subject', 'case', '--subject system:serviceaccount:shop:builder', 'shop/builder'],
  [7002138, 'config', false, 'subject', CONTEXT.claims.subject],
  [7002131, 'config', false, 'expression', CONTEXT.claims.subject],
  [700222, 'config', false, 'policy', CONTEXT.clientId],
  [700226, 'config', false, 'policy'],
  [700227, 'config', false, 'policy'],
  [700229, 'config', false, 'policy', 'Entra itself'],
  [700236, 'config', false, 'policy', CONTEXT.tenantId],
  [7000226, 'config', false, 'policy'],
  [7000272, 'retry-slowly', true, 'key', '30 minutes', '/openid/v1/jwks'],
  ...[90061, 50166, 501661].map((number): Case => [
    number,
    'retry-slowly',
    true,
    'reach the issuer https://issuer.example/cluster/',
    'from outside',
    'curl https://issuer.example/cluster/.well-known/openid-configuration',
  ]),
  [700024, 're-read-once', true, 'clock', '2026-03-01T13:00:00.000Z'],
  [50013, 're-read-once', true, 'signature', '/openid/v1/jwks'],
  [500133, 're-read-once', true, 'signature'],
  [700027, 're-read-once', true, 'signature'],
  [50006, 're-read-once', true, 'signature'],
  [50012, 're-read-once', true, 'signature'],
  [50027, 're-read-once', true, CONTEXT.claims.subject, '/openid/v1/jwks'],
  [900384, 're-read-once', true, 'signature'],
  [70023, 'config', false, 'azure.workload.identity/service-account-token-expiration', '86400'],
  [700016, 'config', false, CONTEXT.clientId, CONTEXT.tenantId, 'azure.workload.identity/client-id', 'shop/builder'],
  [70001, 'config', false, CONTEXT.clientId, CONTEXT.tenantId],
  [700011, 'config', false, CONTEXT.clientId, CONTEXT.tenantId],
  [7000229, 'config', false, 'service principal', CONTEXT.tenantId, `az ad sp create --id ${CONTEXT.clientId}`],
  [7000112, 'config', false, 'disabled', `az ad sp update --id ${CONTEXT.clientId}`],
  [700025, 'config', false, 'public client', `az ad app update --id ${CONTEXT.clientId}`],
  [90002, 'config', false, CONTEXT.tenantId, CONTEXT.authority],
  ...[900023, 50059, 50128, 90019].map((number): Case => [
    number,
    'config',
    false,
    `tenant id ${CONTEXT.tenantId} is neither a GUID nor a domain`,
    'azure.workload.identity/tenant-id',
    'shop/builder',
  ]),
  ...[500021, 500022, 50002].map((number): Case => [
    number,
    'config',
    false,
    'proxy',
    'Restrict-Access-To-Tenants',
    CONTEXT.tenantId,
  ]),
  [50049, 'config', false, CONTEXT.authority, 'azure.authorityHost'],
  [100007, 'config', false, CONTEXT.authority, 'azure.authorityHost'],
  ...[500011, 650052, 500014, 50001].map((number): Case => [
    number,
    'config',
    false,
    CONTEXT.tenantId,
    'Connect the organization',
    'az ad sp update --id 499b84ac-1321-427f-aa17-267ca6975798 --set accountEnabled=true',
  ]),
  ...[70011, 1002012, 28002, 700022, 700023].map((number): Case => [
    number,
    'our-defect',
    false,
    '499b84ac-1321-427f-aa17-267ca6975798/.default',
    'defect of ado-git-identity',
  ]),
  ...[900144, 7000218, 70003, 90004, 9002313].map((number): Case => [
    number,
    'our-defect',
    false,
    'form of the request',
    'defect of ado-git-identity',
  ]),
  ...[53003, 530032, 50131].map((number): Case => [number, 'never-hammer', false, 'Conditional Access', 'address']),
  ...[900439, 900382, 900432, 90038].map((number): Case => [
    number,
    'config',
    false,
    'another Azure cloud',
    CONTEXT.authority,
    'azure.authorityHost',
    'https://login.microsoftonline.us',
  ]),
  [90055, 'throttle', true, CONTEXT.tenantId],
  [90006, 'transient', true, 'temporary fault'],
  [90012, 'transient', true, 'temporary fault'],
  [90024, 'transient', true, 'temporary fault'],
  [90033, 'transient', true, 'temporary fault'],
  [50033, 'transient', true, 'temporary fault'],
  [90090, 'transient', true, 'temporary fault'],
  [90091, 'transient', true, 'temporary fault'],
  [50196, 'loop', true, 'a minute or more'],
];

void t.test('each row of the AADSTS table', (t) => {
  t.strictSame([...listNumbers()].sort(), TABLE.map(([number]) => number).sort());
  for (const [number, kind, resolves, ...words] of TABLE) {
    for (const status of [400, 401, 403, 503]) {
      const failure = fail(refusal(number, status), status);
      t.match(failure, { class: kind, aadsts: number, code: `AADSTS${number}`, ...IDS });
      t.equal(failure.detail, `AADSTS${number}: Words of Entra.`);
      t.equal(mayResolveByWaiting(failure), resolves, `${number}: waiting`);
      for (const word of words) t.ok(failure.message.includes(word), `${number} says ${word}: ${failure.message}`);
      t.ok(
        failure.message.length <= 1000 && failure.message.endsWith(`(AADSTS${number})`),
        `${number} is a sentence that fits`,
      );
    }
    t.equal(classify(number, CONTEXT)?.quick, QUICK.has(number), `${number}: quick`);
  }
  t.end();
});

void t.test('answers that are not a refusal of the table', (t) => {
  const cases: [string, number, string | undefined, Partial<Failure>][] = [
    ['', 500, undefined, { class: 'transient', code: 'http-500' }],
    ['<html>', 502, '7', { class: 'transient', code: 'http-502', retryAfterSeconds: 7 }],
    ['slow down', 429, '120', { class: 'throttle', code: 'http-429', retryAfterSeconds: 120, throttled: true }],
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
    [refusal(700016), 429, '40', { class: 'config', retryAfterSeconds: 40, throttled: true }],
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

/** Ways in which a request may come back. */
const ECHOES: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.toLowerCase(),
  (text) => text.toUpperCase(),
  (text) => text.split('').reverse().join(''),
  (text) => Buffer.from(text).toString('base64'),
  (text) => Buffer.from(text).toString('hex'),
  (text) => text.replace(/./g, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  (text) => text.replace(/./g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`),
  (text) => text.replace(/./g, (letter) => `&#${letter.charCodeAt(0)};`),
  (text) => text.replaceAll('.', '. '),
  (text) => `(${text})`,
];
const SEPARATORS = ['', ' ', '\n', '\r\n', '\t', ', ', '\u200b', '" "', '\\n'];
const PLAIN = 'AADSTS1234567: No matching record found for the assertion ';

void t.test('no piece of an assertion that comes back goes further, in whatever form', (t) => {
  // As random as a token: a row of the same letter reads like words.
  const part = fc
    .uint8Array({ minLength: 48, maxLength: 96 })
    .filter((bytes) => new Set(bytes).size > 32)
    .map((bytes) => Buffer.from(bytes).toString('base64url'));
  const echo = fc.record({
    assertion: fc.tuple(part, part, part).map((parts) => `eyJ${parts.join('.')}`),
    form: fc.constantFrom(...ECHOES),
    separator: fc.constantFrom(...SEPARATORS),
    length: fc.integer({ min: 1, max: 60 }),
    before: fc.constantFrom('', PLAIN, `${PLAIN}client_assertion=`),
    field: fc.constantFrom('error', 'error_description', 'trace_id', 'correlation_id'),
  });
  const squeeze = (text: string): string => text.replace(/\[cut\]|[^A-Za-z0-9]/g, '');
  fc.assert(
    fc.property(echo, ({ assertion, form, separator, length, before, field }) => {
      const text = form(assertion).replace(new RegExp(`.{${length}}`, 'gs'), `$&${separator}`);
      const body = JSON.stringify({ error: 'x', [field]: before + text });
      const shown = squeeze(JSON.stringify(fail(body, 400)));
      const secret = squeeze(text);
      for (let at = 0; at + 12 <= secret.length; at++) {
        const piece = secret.slice(at, at + 12);
        if (shown.includes(piece)) return false;
      }
      return true;
    }),
    { numRuns: 1000 },
  );
  const { detail } = fail(
    JSON.stringify({
      error: 'x',
      error_description: `AADSTS1234567: The request's scope (or ID) isn't valid, try 30 times. ${'x'.repeat(20)}9 is cut.\r\nMore`,
    }),
  );
  t.equal(detail, "AADSTS1234567: The request's scope (or ID) isn't valid, try 30 times. [cut] is cut.");
  t.equal(fail('{"error":"invalid_client"}').detail, 'invalid_client');
  t.match(fail('{"error":"invalid_client"}', 400).message, /: invalid_client \(http-400\)$/);
  t.end();
});

void t.test('tokens are taken only whole', (t) => {
  const good = { token_type: 'Bearer', expires_in: 3599, access_token: 'abc.def', refresh_in: 1800 };
  const parse = (body: object): ReturnType<typeof parseAnswer> =>
    parseAnswer({ status: 200, body: JSON.stringify(body) }, CONTEXT, NOW);
  t.strictSame(parse(good), { kind: 'token', accessToken: 'abc.def', expiresInSeconds: 3599, refreshInSeconds: 1800 });
  t.match(parse({ access_token: 'a', expires_in: '86399' }), { expiresInSeconds: 86399, refreshInSeconds: undefined });
  t.match(parse({ ...good, refresh_in: -1 }), { kind: 'token', refreshInSeconds: undefined });
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
        const answer = parseAnswer({ status, body, retryAfter }, CONTEXT, NOW);
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
  for (const [value, expected] of cases) t.equal(fail('', 503, value).retryAfterSeconds, expected, String(value));
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

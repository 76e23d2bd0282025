/** What API servers refuse about a certificate. */
import { X509Certificate } from 'node:crypto';
import t from 'tap';
import {
  findAuthorityProblem,
  findServerProblem,
  findSigningProblem,
  isIssuedBy,
} from '../../src/certificates/soundness.js';
import { addMs, DAY_MS, epochMs } from '../../src/time.js';
import { createFastCertificates } from './fast-certificates.js';
import {
  createOddAuthority,
  createOddCertificate,
  extension,
  EXTENSIONS,
  listUnsoundPairs,
} from './odd-certificates.js';

const HOST = 'webhook.test.svc';
const now = epochMs(Date.parse('2026-03-01T00:00:00Z'));
const validity = { from: addMs(now, -1 * DAY_MS), to: addMs(now, DAY_MS) };
const parse = ({ certificatePem }: { certificatePem: string }): X509Certificate => new X509Certificate(certificatePem);

for (const [name, { authority, leaf, reason }] of Object.entries(listUnsoundPairs(HOST, now))) {
  void t.test(`refused: ${name}`, (t) => {
    const problem = findServerProblem(parse(leaf), HOST) ?? findAuthorityProblem(parse(authority));
    if (problem === undefined) t.notOk(isIssuedBy(parse(leaf), parse(authority)), 'its issuer is another');
    else t.match(problem, reason);
    t.end();
  });
}

void t.test('accepted: what the product issues, and what others may', async (t) => {
  const fast = createFastCertificates();
  const own = await fast.createAuthority({ commonName: 'own', days: 2, now });
  const issued = await fast.issueCertificate(own, { commonName: 'own', dnsNames: [HOST], days: 1, now });
  const odd = createOddAuthority(validity);
  const wildcard = EXTENSIONS.dns(HOST.replace(/^[^.]+/, '*'));
  const pairs = {
    own: { authority: own, leaf: issued },
    'no usages, a wildcard': {
      authority: odd,
      leaf: createOddCertificate({ ...validity, issuer: odd, extensions: [wildcard] }),
    },
    ...Object.fromEntries(
      (['p256', 'ed25519'] as const).map((key) => {
        const authority = createOddAuthority({ ...validity, key, extensions: [EXTENSIONS.ca] });
        const extensions = [EXTENSIONS.dns(HOST), EXTENSIONS.serverAuth, EXTENSIONS.digitalSignature];
        return [key, { authority, leaf: createOddCertificate({ ...validity, key, issuer: authority, extensions }) }];
      }),
    ),
  };
  for (const [name, { authority, leaf }] of Object.entries(pairs)) {
    t.equal(findServerProblem(parse(leaf), HOST), undefined, name);
    t.equal(findSigningProblem(parse(leaf)), undefined, name);
    t.equal(findAuthorityProblem(parse(authority)), undefined, name);
    t.ok(isIssuedBy(parse(leaf), parse(authority)), name);
  }
});

void t.test('a certificate of a huge size, and a key that can not sign', (t) => {
  const huge = createOddCertificate({ ...validity, extensions: [extension('2a0305', Buffer.alloc(9000))] });
  t.match(findAuthorityProblem(parse(huge)), /^has \d+ bytes, more than 8192$/);
  const agreement = createOddCertificate({ ...validity, extensions: [EXTENSIONS.keyAgreement] });
  t.match(findSigningProblem(parse(agreement)), /keyUsage without digitalSignature/);
  const dsa = createOddAuthority({ ...validity, key: 'dsa' });
  t.match(findAuthorityProblem(parse(dsa)), /key of the kind dsa/);
  t.end();
});

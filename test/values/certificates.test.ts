/** Certificates in PEM form, as the webhook and the sidecar take them. */
import t from 'tap';
import { createAuthority } from '../../src/certificates/authority.js';
import { epochMs } from '../../src/time.js';
import { readCertificates } from '../../src/values/certificates.js';

void t.test('certificates in PEM form', async (t) => {
  const { certificatePem } = await createAuthority({ commonName: 'a', days: 1, now: epochMs(Date.now()) });
  const cut = certificatePem.slice(0, certificatePem.length / 2);
  const good: Record<string, string> = {
    one: certificatePem,
    'two with comments': `# Company root\n${certificatePem}# and another\n${certificatePem}`,
    'carriage returns': certificatePem.replaceAll('\n', '\r\n'),
  };
  for (const [name, text] of Object.entries(good)) t.strictSame(readCertificates(text), { value: text }, name);
  const wrong: Record<string, [text: string, problem: RegExp]> = {
    'no block': ['nonsense', /^holds no PEM certificate; write each from/],
    'a private key': [
      '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n',
      /^contains a private key; remove it$/,
    ],
    'a private key beside a certificate': [
      `${certificatePem}-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n`,
      /^contains a private key; remove it$/,
    ],
    'an empty block': ['-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----', /\(1 of 1\) that can't be parsed/],
    'cut at the end': [`${certificatePem}${cut}`, /\(2 of 2\) that can't be parsed/],
    'cut in the middle': [`${certificatePem}${cut}\n${certificatePem}`, /\(2 of 3\) that can't be parsed/],
  };
  for (const [name, [text, problem]] of Object.entries(wrong)) {
    t.match(readCertificates(text), { problem, hidden: true }, name);
  }
});

/** What holds for every reader of values from outside: it never throws, and takes what it has read. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { createAuthority } from '../../src/certificates/authority.js';
import { readOrganizationName } from '../../src/git/naming-rules.js';
import { epochMs } from '../../src/time.js';
import { readCertificates } from '../../src/values/certificates.js';
import { readClientId, readTenantId } from '../../src/values/entra-ids.js';
import { readNodeFlags, readObjectName, readUserId } from '../../src/values/kubernetes.js';
import {
  describeProblem,
  keepText,
  readChoice,
  type Reader,
  readList,
  readOr,
  readWhole,
} from '../../src/values/readers.js';
import { readOrigin, readProxy } from '../../src/values/urls.js';

/** A reader, how its values are written, and texts of which many are accepted. */
interface Kind<T> {
  readonly reader: Reader<T>;
  readonly write: (value: T) => string;
  readonly texts: fc.Arbitrary<string>;
}

/** Hides the type of the value, so that kinds fit into one table. */
function asKind<T>(reader: Reader<T>, write: (value: T) => string, texts: fc.Arbitrary<string>): Kind<unknown> {
  return { reader, write: write as (value: unknown) => string, texts };
}

const same = (text: string): string => text;
const hosts = fc.oneof(
  fc.domain(),
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
  fc.stringMatching(/^[A-Za-z0-9%._~:[\]-]{1,20}$/),
);
const addresses = fc
  .tuple(fc.constantFrom('', 'http://', 'https://', 'HTTPS://', 'ftp://', 'u:p@'), hosts, fc.nat(70_000))
  .map(([scheme, host, port]) => `${scheme}${host}:${port}`);
const names = fc.stringMatching(/^[a-z0-9]{1,6}[.-]?[a-z0-9]{1,6}$/);
const lists = fc.array(names, { minLength: 1, maxLength: 4 }).map((items) => items.join(', '));
const flags = fc
  .array(fc.stringMatching(/^--[a-z]{1,6}(?:=[!-~]{1,6})?$/), { minLength: 1, maxLength: 3 })
  .map((items) => items.join('\t '));
const numbers = fc.oneof(fc.integer().map(String), fc.nat(70_000).map(String), fc.stringMatching(/^0{0,3}\d{1,9}$/));

const { certificatePem } = await createAuthority({ commonName: 'a', days: 1, now: epochMs(Date.now()) });

const KINDS: Readonly<Record<string, Kind<unknown>>> = {
  origin: asKind(readOrigin, same, addresses),
  proxy: asKind(readProxy, ({ host, port }) => `http://${host.includes(':') ? `[${host}]` : host}:${port}`, addresses),
  'proxy as text': asKind(keepText(readProxy), same, addresses),
  certificates: asKind(readCertificates, same, fc.constant(certificatePem)),
  'client id': asKind(readClientId, same, fc.uuid()),
  tenant: asKind(readTenantId, same, fc.oneof(fc.uuid(), fc.domain())),
  organization: asKind(readOrganizationName, same, names),
  'object name': asKind(readObjectName, same, names),
  'object names': asKind(readList(readObjectName), (items) => items.join(','), lists),
  flags: asKind(readNodeFlags, (items) => items.join(' '), flags),
  'user id': asKind(readUserId, (id) => (id === null ? 'none' : String(id)), fc.oneof(fc.constant('none'), numbers)),
  port: asKind(readWhole(1024, 65_535, 'a port'), String, numbers),
  'port or none': asKind(
    readOr('off', false, readWhole(1, 65_535, 'a port')),
    (port) => (port === false ? 'off' : String(port)),
    fc.oneof(fc.constant('off'), numbers),
  ),
  choice: asKind(readChoice(['a', 'b']), same, fc.constantFrom('a', 'b', 'c')),
};

for (const [name, { reader, write, texts }] of Object.entries(KINDS)) {
  void t.test(`${name}: never throws, and reads what it has read to the same value`, (t) => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(texts, fc.string({ unit: 'binary' })), (text) => {
        const reading = reader(text);
        // A problem is a clause: the sentence around it begins with a name, and ends with a full stop.
        if ('problem' in reading) return /^\S.*[^.\s]$/.test(describeProblem(text, reading));
        accepted += 1;
        return isDeepStrictEqual(reader(write(reading.value)), reading);
      }),
    );
    t.not(accepted, 0, 'some texts are accepted');
    t.end();
  });
}

void t.test('a problem names the text, the item, and nothing that is hidden', (t) => {
  t.equal(describeProblem('a', { problem: 'is wrong' }), '"a" is wrong');
  t.equal(describeProblem('a,b', { problem: 'is wrong', item: 'b' }), '"a,b": "b" is wrong');
  t.equal(describeProblem('secret', { problem: 'is wrong', item: 'secret', hidden: true }), 'is wrong');
  t.strictSame(readList(readWhole(1, 3, 'a size'))('1, 7'), { problem: 'is not a size from 1 to 3', item: '7' });
  t.strictSame(readList(readWhole(1, 3, 'a size'))('7'), { problem: 'is not a size from 1 to 3' });
  t.strictSame(readOr('off', 0, readWhole(1, 3, 'a size'))('7'), {
    problem: 'is not a size from 1 to 3, and not "off"',
  });
  t.end();
});

/**
 * The catalogue of Entra's refusals. They are classed by their AADSTS number only, because the same number comes with
 * various HTTP statuses and `error` values. PURE.
 */
import type { AnswerClass } from './failure.js';
import type { ExchangeContext } from './identity.js';
import * as meanings from './meanings.js';

export interface Classified {
  readonly class: AnswerClass;
  readonly quick: boolean;
  readonly sentence: string;
}

/** Class and sentence of a number, or `undefined` for one that is not in the catalogue. */
export function classify(aadsts: number, context: ExchangeContext): Classified | undefined {
  const found = CATALOGUE.get(aadsts);
  return found && { class: found.class, quick: found.quick, sentence: found.describe(context) };
}

/** Whether the assertion must be read again after this number. */
export function asksForRereading(aadsts: number | undefined): boolean {
  return aadsts !== undefined && CATALOGUE.get(aadsts)?.class === 're-read-once';
}

/** The numbers in the catalogue. */
export function listNumbers(): readonly number[] {
  return [...CATALOGUE.keys()];
}

/** Sources: Microsoft's list of error codes, its articles on single codes, and what users reported. */
const CATALOGUE: ReadonlyMap<number, meanings.Meaning> = new Map(
  (
    [
      [meanings.noMatchYet, 70021],
      [meanings.noCredential, 70025],
      [meanings.wrongIssuer, 700211],
      [meanings.wrongAudience, 700212],
      [meanings.wrongSubject, 700213, 7002138],
      [meanings.wrongExpression, 7002131],
      [meanings.kindRefused, 700222, 700226, 700227, 700229, 700236, 7000226],
      [meanings.keyUnknown, 7000272],
      [meanings.issuerUnreachable, 90061, 50166, 501661],
      [meanings.outOfTime, 700024],
      [meanings.badSignature, 50006, 50012, 50013, 500133, 50027, 700027, 900384],
      [meanings.livesTooLong, 70023],
      [meanings.noApplication, 700016, 70001, 700011],
      [meanings.noPrincipal, 7000229],
      [meanings.disabledApplication, 7000112],
      [meanings.publicClient, 700025],
      [meanings.badTenant, 900023, 50059, 50128, 90019],
      [meanings.noTenant, 90002],
      [meanings.tenantNotAllowed, 50002, 500021, 500022],
      [meanings.unknownAuthority, 50049, 100007],
      [meanings.otherCloud, 90038, 900382, 900432, 900439],
      [meanings.noAzureDevOps, 50001, 500011, 500014, 650052],
      [meanings.badRequest, 28002, 70003, 70011, 700022, 700023, 7000218, 90004, 900144, 9002313, 1002012],
      [meanings.conditionalAccess, 50131, 53003, 530032],
      [meanings.throttled, 90055],
      [meanings.transient, 50033, 90006, 90012, 90024, 90033, 90090, 90091],
      [meanings.loop, 50196],
    ] as const
  ).flatMap(([meaning, ...numbers]) => numbers.map((number): [number, meanings.Meaning] => [number, meaning])),
);

/** Compares Kubernetes' resource quantities. Source: apimachinery, resource/quantity.go. PURE. */

/** Each character can be matched in one way only, so that a long run of digits costs no more than its length. */
const QUANTITY = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/;
/** The largest that Kubernetes keeps has 19 digits; a longer text is taken for no quantity. */
const MAX_LENGTH = 64;
const SUFFIX: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The quantity as a number, or `undefined` for what is no quantity. */
export function parseQuantity(quantity: unknown): number | undefined {
  const text = String(quantity);
  const match = text.length > MAX_LENGTH ? null : QUANTITY.exec(text);
  if (match === null) return undefined;
  const [, number = '', exponent = '', suffix] = match;
  const value = Number(number + exponent) * (suffix === undefined ? 1 : (SUFFIX[suffix] ?? Number.NaN));
  // Rounded, since fractions are inexact: `100m` must equal `0.1`.
  return Math.round(value * 1e9) / 1e9;
}

/** Whether two quantities are the same number, in whatever form. */
export function isSameQuantity(a: unknown, b: unknown): boolean {
  const number = parseQuantity(a);
  return number !== undefined && number === parseQuantity(b);
}

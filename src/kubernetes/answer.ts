/** An answer of the API server: its type, the outcome of a write, and the sentence for a refusal. */
import { ProductError } from '../errors.js';
import { isObject } from '../values/json.js';

export interface ApiAnswer {
  readonly status: number;
  /** The parsed JSON, or undefined where the body is not JSON. */
  readonly body: unknown;
}

/** The outcome of a write; `lost`: someone else wrote first, and the object must be read again. */
export type Written = 'written' | 'lost';

/** For requests that are repeated every few seconds. */
export const API_TIMEOUT_MS = 2000;

const CONFLICT = 409;

/** @throws ProductError `kubernetes-api` for any answer that is neither a success nor a lost race. */
export function judgeWrite(answer: ApiAnswer, verb: string, object: string): Written {
  if (answer.status === 200 || answer.status === 201) return 'written';
  if (answer.status === CONFLICT) return 'lost';
  throw createRefusal(answer, verb, object);
}

/** The message of a `Status`, which the API server gives as the reason of a refusal; empty where there is none. */
export function readMessage({ body }: Pick<ApiAnswer, 'body'>): string {
  return isObject(body) && typeof body.message === 'string' ? body.message : '';
}

/** The error for an answer that is not a success. */
export function createRefusal(answer: ApiAnswer, verb: string, object: string): ProductError {
  const message = readMessage(answer);
  const reason = message === '' ? '' : `: ${message}`;
  if (answer.status === 403) {
    const fix = 'its roles are not those of the chart: run helm upgrade again';
    return new ProductError('kubernetes-api', `the webhook may not ${verb} ${object}${reason}; ${fix}`);
  }
  return new ProductError('kubernetes-api', `the API server did not ${verb} ${object} (${answer.status})${reason}`);
}

/** Undefined where the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

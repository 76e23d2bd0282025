/** What managed certificates need of the Kubernetes API, and the words for what it refuses. */
import { ProductError } from '../errors.js';

export interface ApiAnswer {
  readonly status: number;
  /** The parsed JSON, or undefined where it is none. */
  readonly body: unknown;
}

/** Methods reject with a ProductError `kubernetes-api` where no whole answer came. Times in milliseconds. */
export interface ObjectsApi {
  get(path: string, timeoutMs: number): Promise<ApiAnswer>;
  put(path: string, body: unknown, timeoutMs: number): Promise<ApiAnswer>;
  patch(path: string, contentType: string, body: unknown, timeoutMs: number): Promise<ApiAnswer>;
}

/** What came of a write; `lost`: someone else wrote first, and the object must be read again. */
export type Written = 'written' | 'lost';

export const API_TIMEOUT_MS = 2000;

const CONFLICT = 409;

/** @throws ProductError `kubernetes-api` for any answer that is neither a success nor a lost race. */
export function judgeWrite(answer: ApiAnswer, verb: string, object: string): Written {
  if (answer.status === 200 || answer.status === 201) return 'written';
  if (answer.status === CONFLICT) return 'lost';
  throw refusal(answer, verb, object);
}

/** What the API server says of an answer that is no success; empty where it says nothing. */
export function quote({ body }: ApiAnswer): string {
  const { message } = (body ?? {}) as { readonly message?: unknown };
  return typeof message === 'string' ? message : '';
}

/** The sentence for an answer that is no success. */
export function refusal({ status, body }: ApiAnswer, verb: string, object: string): ProductError {
  const message = quote({ status, body });
  const said = message === '' ? '' : `: ${message}`;
  if (status === 403) {
    const mend = 'its roles are not those of the chart: run helm upgrade again';
    return new ProductError('kubernetes-api', `the webhook may not ${verb} ${object}${said}; ${mend}`);
  }
  return new ProductError('kubernetes-api', `the API server did not ${verb} ${object} (${status})${said}`);
}

/** Which requests are served: decided by the head, so that nothing of another's body is read. PURE. */
import type { IncomingMessage } from 'node:http';
import { quote } from '../values/text.js';
import type { Failure } from './admission.js';
import { MAX_REVIEW_BYTES } from './admission-review.js';

export type Refusal = Pick<Failure, 'status' | 'reason' | 'message'>;

/** The API server adds a query. */
export const ADMISSION_PATH = '/mutate';
const JSON_TYPE = /^application\/json[ \t]*(?:;|$)/i;

/** @returns why it is not served; undefined where it is the request of an API server. */
export function judgeHead({
  method = '',
  url = '',
  headers,
}: Pick<IncomingMessage, 'method' | 'url' | 'headers'>): Refusal | undefined {
  if (method !== 'POST' || url.split('?', 1)[0] !== ADMISSION_PATH) {
    const message = `${method} ${url.slice(0, 80)} is not answered; there is POST ${ADMISSION_PATH}`;
    return { status: 404, reason: 'NotFound', message };
  }
  const type = headers['content-type'] ?? '';
  if (!JSON_TYPE.test(type)) {
    const message = `the content type is ${quote(type)}; application/json is expected`;
    return { status: 415, reason: 'UnsupportedMediaType', message };
  }
  return judgeLength(headers);
}

/** A body without a length may come in chunks of one byte, each of which costs a call. The API server always sends the length. */
function judgeLength(headers: IncomingMessage['headers']): Refusal | undefined {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers;
  if (length === undefined || encoding !== undefined) {
    const message = 'the body has no length; send Content-Length, and no Transfer-Encoding';
    return { status: 411, reason: 'LengthRequired', message };
  }
  // Node refuses a head whose length is no number.
  if (Number(length) > MAX_REVIEW_BYTES) {
    const message = `the body has more than ${MAX_REVIEW_BYTES} bytes, the most that an AdmissionReview may have`;
    return { status: 413, reason: 'RequestEntityTooLarge', message };
  }
  return undefined;
}

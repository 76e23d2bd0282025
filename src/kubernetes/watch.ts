/** One watch: a response that does not end, with a JSON document on each line, of which only what is wanted is kept. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { JsonPicker, type PickerOptions } from './json-picker.js';
import { type Transport, wrapFailure } from './transport.js';

export interface WatchOptions extends PickerOptions {
  readonly signal: AbortSignal;
  /** Until the head of the response. */
  readonly connectMs: number;
  /** A connection that is silent for this long counts as dead. */
  readonly idleMs: number;
  /** Called with what is wanted of each line, or undefined where that is not JSON. Throws to end the watch. */
  readonly onEvent: (event: unknown) => void;
}

const LINE_END = 0x0a;

/**
 * Resolves with the status once the server ends the response; with a status other than 200 nothing is read.
 * @throws ProductError `kubernetes-api` where the connection breaks, is idle or is given up.
 */
export async function watchEvents(transport: Transport, path: string, options: WatchOptions): Promise<number> {
  const { signal, connectMs, idleMs } = options;
  let request: ClientRequest | undefined;
  // Kept, as the response itself only says "aborted".
  let failure: Error | undefined;
  let rejectGivenUp: (error: Error) => void = () => undefined;
  // Without a request there is nothing to destroy: a plug-in for credentials may hang.
  const givenUp = new Promise<never>((_resolve, reject) => (rejectGivenUp = reject));
  givenUp.catch(() => undefined);
  const giveUp = (message: string): void => {
    failure ??= new Error(message);
    request?.destroy(failure);
    rejectGivenUp(failure);
  };
  const abort = (): void => giveUp('given up');
  let timer = setTimeout(giveUp, connectMs, `no answer within ${connectMs / 1000} s`);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    const onRequest = (sent: ClientRequest): void => {
      request = sent;
      if (failure !== undefined) sent.destroy(failure);
    };
    const sending = transport.send({ method: 'GET', path, onRequest });
    sending.catch(() => undefined);
    const response = await Promise.race([sending, givenUp]);
    clearTimeout(timer);
    timer = setTimeout(giveUp, idleMs, `nothing came for ${idleMs / 1000} s`);
    // Destroyed after its end, it would raise an error for which there is no other listener.
    response.on('error', () => undefined);
    if (response.statusCode === 200) await readLines(response, options, () => timer.refresh());
    else response.resume();
    return response.statusCode ?? 0;
  } catch (error) {
    throw wrapFailure('GET', path, failure ?? error);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

/** What follows the last line end was cut short, and is dropped. */
async function readLines(response: IncomingMessage, options: WatchOptions, onChunk: () => void): Promise<void> {
  const picker = new JsonPicker(options);
  let isEmpty = true;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    onChunk();
    let start = 0;
    for (let end = chunk.indexOf(LINE_END); end !== -1; end = chunk.indexOf(LINE_END, start)) {
      picker.write(chunk.subarray(start, end));
      if (!isEmpty || end > start) options.onEvent(picker.end());
      isEmpty = true;
      start = end + 1;
    }
    picker.write(chunk.subarray(start));
    isEmpty &&= start === chunk.length;
  }
}

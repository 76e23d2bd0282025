/** Events that clients create, checked as the API server checks them. */
import { StatusError } from './status-error.js';

const MAX_MESSAGE_BYTES = 1024;

export type EventStore = ReturnType<typeof createEventStore>;

export function createEventStore() {
  const events: unknown[] = [];
  const names = new Set<string>();
  return {
    events,
    /** Returns the event. @throws StatusError 422 for an event that is not valid, 409 for a name that exists. */
    create: (namespace: string, event: unknown): unknown => {
      const name = readName(namespace, event);
      if (names.has(`${namespace}/${name}`)) {
        throw new StatusError(409, 'AlreadyExists', `events "${name}" already exists`);
      }
      names.add(`${namespace}/${name}`);
      events.push(event);
      return event;
    },
  };
}

/** The name of a valid event. */
function readName(namespace: string, event: unknown): string {
  const { metadata, involvedObject, reason, message } = event as Partial<Record<string, Record<string, unknown>>>;
  const name = metadata?.['name'];
  if (
    typeof name !== 'string' ||
    metadata?.['namespace'] !== namespace ||
    involvedObject?.['namespace'] !== namespace
  ) {
    throw new StatusError(422, 'Invalid', 'metadata and involvedObject of an Event name the namespace of the request');
  }
  if (typeof reason !== 'string' || typeof message !== 'string' || Buffer.byteLength(message) > MAX_MESSAGE_BYTES) {
    throw new StatusError(422, 'Invalid', `an Event has a reason, and a message of at most ${MAX_MESSAGE_BYTES} bytes`);
  }
  return name;
}

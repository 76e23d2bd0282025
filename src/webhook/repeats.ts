/** A log that says a long message once an hour: a controller creates the same pod again and again. */
import { createHash } from 'node:crypto';
import { abbreviate, type LogFields, type Logger } from '../log.js';
import { LOG_LEVELS, type LogLevel } from '../names.js';
import { HOUR_MS, type Milliseconds } from '../time.js';

/** Limit of remembered messages; the oldest are forgotten first. */
const MAX_REMEMBERED = 1000;

interface Logged {
  readonly at: Milliseconds;
  /** How often it was repeated since. */
  count: number;
}

/**
 * Logs as the given logger does. A long message that was logged in the last hour is cut, and the field `repeated` counts.
 * @param clock does not jump, as a wall clock does when it is set.
 */
export function shortenRepeats(log: Logger, clock: () => Milliseconds): Logger {
  const logged = new Map<string, Logged>();

  /** @returns undefined where the message is to be logged in full. */
  const findRepeated = (message: string): Logged | undefined => {
    const key = createHash('sha256').update(message).digest('base64');
    const found = logged.get(key);
    if (found !== undefined && clock() - found.at < HOUR_MS) return found;
    logged.delete(key);
    logged.set(key, { at: clock(), count: 0 });
    const [oldest] = logged.keys();
    if (logged.size > MAX_REMEMBERED && oldest !== undefined) logged.delete(oldest);
    return undefined;
  };

  const logAt = (level: LogLevel, message: string, fields?: LogFields): void => {
    const short = abbreviate(message);
    // What is for debugging may not have been written.
    const repeated = short === message || level === 'debug' ? undefined : findRepeated(message);
    if (repeated === undefined) {
      log[level](message, fields);
      return;
    }
    repeated.count += 1;
    log[level](short, { ...fields, repeated: repeated.count });
  };
  const methods = LOG_LEVELS.map((level) => [
    level,
    (message: string, fields?: LogFields) => logAt(level, message, fields),
  ]);
  return Object.fromEntries(methods) as Logger;
}

/**
 * Logs as JSON lines. No caller should log a token, assertion or credential; whatever looks like one is redacted here, so
 * that a mistake elsewhere does not leak it.
 */
import { LOG_LEVELS, type LogLevel } from './names.js';
import { formatTime, type Now } from './time.js';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** Three base64url parts (a signed JWT), or one long run of base64 characters (an opaque token). */
const TOKEN_SHAPE = /eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*|[A-Za-z0-9_~+/-]{120,}=*/g;
/** After these words comes a secret of any shape, which ends at a blank, quote or separator. */
const SECRET_VALUE =
  /\b(client_assertion|access_token|password|authorization|bearer|basic)(["']?\s*[=:]\s*["']?|\s+)(?!\[cut\])[^\s"'&,]{8,}/gi;

/** A longer text is cut: names from outside may have any length. */
const MAX_TEXT_LENGTH = 4000;
/** Characters that JSON does not escape, and that change what a terminal shows. */
const INVISIBLE = /\p{C}|[\u2028\u2029]/gu;

/** The text, with `[cut]` in place of whatever looks like a token or credential. */
function redact(text: string): string {
  return text.replace(TOKEN_SHAPE, '[cut]').replace(SECRET_VALUE, '$1$2[cut]');
}

/** It is cut at a blank, so that no part of a token is left that does not look like one. */
function writeText(text: string): string {
  const isLong = text.length > MAX_TEXT_LENGTH;
  return redact(isLong ? `${text.slice(0, text.lastIndexOf(' ', MAX_TEXT_LENGTH) + 1)}[cut]` : text);
}

/**
 * A logger that writes one JSON object per line: `time` (RFC 3339), `level`, `message`, then the fields.
 * @param write takes whole lines, each with its line end.
 */
export function createLogger(level: LogLevel, write: (line: string) => void, now: Now): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  const log = (at: LogLevel, message: string, fields?: LogFields): void => {
    if (LOG_LEVELS.indexOf(at) > threshold) return;
    const record = { time: formatTime(now()), level: at, message, ...fields };
    const line = JSON.stringify(record, (_key, value: unknown) =>
      typeof value === 'string' ? writeText(value) : value,
    );
    write(`${line.replace(INVISIBLE, '\ufffd')}\n`);
  };
  const methods = LOG_LEVELS.map((at) => [at, (message: string, fields?: LogFields) => log(at, message, fields)]);
  return Object.fromEntries(methods) as Logger;
}

/** A shorter message is worth repeating. */
const MIN_ABBREVIATED = 200;
const ABBREVIATED_LENGTH = 100;

/** The beginning of a message that was already logged in full, up to a blank; all of a short one. */
export function abbreviate(message: string): string {
  if (message.length < MIN_ABBREVIATED) return message;
  return `${message.slice(0, message.lastIndexOf(' ', ABBREVIATED_LENGTH) + 1)}…`;
}

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

/** The text, with `[cut]` in place of whatever looks like a token or credential. */
export function redact(text: string): string {
  return text.replace(TOKEN_SHAPE, '[cut]').replace(SECRET_VALUE, '$1$2[cut]');
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
    const line = JSON.stringify(record, (_key, value: unknown) => (typeof value === 'string' ? redact(value) : value));
    write(`${line}\n`);
  };
  return {
    error: (message, fields) => log('error', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    info: (message, fields) => log('info', message, fields),
    debug: (message, fields) => log('debug', message, fields),
  };
}

/** Limits how often requests are logged as warnings or errors: whoever reaches the port may send them as often as it likes. */
import type { Logger } from '../log.js';
import type { Milliseconds } from '../time.js';
import { createBudget } from './budget.js';

const WARNINGS = { burst: 5, perSecond: 1 / 60 };
/** Warnings never use up what errors have. */
const TOTAL = { burst: 2 * WARNINGS.burst, perSecond: 2 * WARNINGS.perSecond };

/**
 * A logger for what requests cause. Warnings, and errors, beyond a budget that all callers share are for debugging.
 * @param clock one of which only differences count.
 */
export function limitRequestLog(log: Logger, clock: () => Milliseconds): Logger {
  const budget = createBudget({ total: TOTAL, each: WARNINGS, clock });
  const limit =
    (level: 'warn' | 'error'): Logger['warn'] =>
    (message, fields) =>
      log[budget.take(level) ? level : 'debug'](message, fields);
  return { ...log, warn: limit('warn'), error: limit('error') };
}

/** The demo's steps: each one is checked and shown; the first that fails ends the demo. */
import { describeError } from '../errors.js';
import type { Terminal } from './terminal.js';

/** Ends the demo; the terminal has already shown why. */
export class StepFailed extends Error {}

export interface Steps {
  /**
   * Runs one step.
   * @param title of the passed step; a function where it shows something of the result.
   * @param pending title until then.
   */
  readonly step: <T>(title: string | ((result: T) => string), action: () => Promise<T>, pending?: string) => Promise<T>;
  /** Leaves a step out for a reason that is not a failure. */
  readonly skip: (title: string, reason: string) => void;
  /** Such as `28 steps passed`. */
  readonly summarize: () => string;
}

export function createSteps(terminal: Terminal, stop: AbortSignal): Steps {
  let passed = 0;
  let skipped = 0;
  return {
    step: async (title, action, pending = typeof title === 'string' ? title : '') => {
      terminal.begin(pending);
      try {
        stop.throwIfAborted();
        const result = await action();
        terminal.pass(typeof title === 'string' ? title : title(result));
        passed++;
        return result;
      } catch (error) {
        terminal.fail(pending, stop.aborted ? 'interrupted' : describeError(error));
        throw new StepFailed();
      }
    },
    skip: (title, reason) => {
      terminal.skip(title, reason);
      skipped++;
    },
    summarize: () => `${passed} steps passed${skipped === 0 ? '' : `, ${skipped} skipped,`}`,
  };
}

/** @throws Error with the problem, where a step's expectation does not hold. */
export function check(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Error(problem);
}

/** The time since then, such as `1.5 s`. @param start of the same clock as `performance.now()`. */
export function formatSecondsSince(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}

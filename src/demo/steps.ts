/** The demo's steps: each is done and checked, and says so; the first that fails ends the demo. */
import { describeError } from '../errors.js';
import type { Terminal } from './terminal.js';

/** Ends the demo; what went wrong has been said. */
export class StepFailed extends Error {}

export interface Steps {
  /** Does one step. Its title may be a function of the result, where it tells something that was measured. */
  readonly step: <T>(title: string | ((result: T) => string), action: () => Promise<T>, doing?: string) => Promise<T>;
  /** Leaves a step out, for a reason that is no failure. */
  readonly skip: (title: string, reason: string) => void;
  /** What has been done so far, as a sentence says it. */
  readonly sum: () => string;
}

export function createSteps(terminal: Terminal, stop: AbortSignal): Steps {
  let passed = 0;
  let skipped = 0;
  return {
    step: async (title, action, doing = typeof title === 'string' ? title : '') => {
      terminal.begin(doing);
      try {
        stop.throwIfAborted();
        const result = await action();
        terminal.pass(typeof title === 'string' ? title : title(result));
        passed++;
        return result;
      } catch (error) {
        terminal.fail(doing, stop.aborted ? 'interrupted' : describeError(error));
        throw new StepFailed();
      }
    },
    skip: (title, reason) => {
      terminal.skip(title, reason);
      skipped++;
    },
    sum: () => `${passed} steps${skipped === 0 ? '' : `, ${skipped} skipped`}`,
  };
}

/** Throws where a step's expectation does not hold. */
export function check(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Error(problem);
}

/** Seconds since then, as people write them. */
export function secondsSince(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}

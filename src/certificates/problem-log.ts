/** Logs a problem once when it begins or changes, and once when it is resolved. */
import { describeError } from '../errors.js';
import type { Logger } from '../log.js';

export interface ProblemLog {
  /** @param sentence undefined where there is no problem with the topic. */
  set(topic: string, sentence: string | undefined): void;
  /** @returns what `act` resolves with; undefined where it rejects, which is then the topic's problem. */
  attempt<T>(topic: string, act: () => Promise<T>): Promise<T | undefined>;
}

export function createProblemLog(log: Logger): ProblemLog {
  const current = new Map<string, string>();
  const set = (topic: string, sentence: string | undefined): void => {
    const before = current.get(topic);
    if (sentence === before) return;
    if (sentence === undefined) {
      current.delete(topic);
      log.info('certificate problem resolved', { was: before });
    } else {
      current.set(topic, sentence);
      log.error(sentence);
    }
  };
  return {
    set,
    attempt: async (topic, act) => {
      try {
        const result = await act();
        set(topic, undefined);
        return result;
      } catch (error) {
        set(topic, describeError(error));
        return undefined;
      }
    },
  };
}

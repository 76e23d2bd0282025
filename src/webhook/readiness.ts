/** Whether the webhook can really serve. What was once fulfilled stays so: a slow API server never takes a replica out. */

/** What must have come to pass, each with the words for who waits for it. */
export type Condition = 'listening' | 'service-accounts' | 'verified-by-the-api-server';

export interface Readiness {
  fulfil(condition: Condition): void;
  /** From here on not ready, whatever was fulfilled. */
  drain(): void;
  readonly isDraining: boolean;
  /** What is missing; empty when ready. */
  missing(): readonly string[];
}

/** @param onReady called once, when all is fulfilled. */
export function createReadiness(conditions: readonly Condition[], onReady: () => void): Readiness {
  const open = new Set<Condition>(conditions);
  let isDraining = false;
  return {
    fulfil: (condition) => {
      if (open.delete(condition) && open.size === 0) onReady();
    },
    drain: () => {
      isDraining = true;
    },
    get isDraining() {
      return isDraining;
    },
    missing: () => (isDraining ? ['draining'] : [...open]),
  };
}

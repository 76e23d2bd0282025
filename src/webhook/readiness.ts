/** Whether the webhook can serve. A condition stays fulfilled: a slow API server never makes a replica unready. */

/** What must be fulfilled first, in the words that `/readyz` shows. */
export type Condition = 'listening' | 'service-accounts' | 'verified-by-the-api-server';

export interface Readiness {
  fulfil(condition: Condition): void;
  /** From now on it is not ready. */
  drain(): void;
  /** Conditions that are not fulfilled; empty when ready. */
  missing(): readonly string[];
}

/** @param onReady called once, when all conditions are fulfilled. */
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
    missing: () => (isDraining ? ['draining'] : [...open]),
  };
}

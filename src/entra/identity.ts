/** Whose token is requested, and with which assertion. PURE. */
import type { EpochSeconds } from '../time.js';

/** One identity at one authority; all values are checked. */
export interface Identity {
  readonly clientId: string;
  /** GUID or verified domain. */
  readonly tenantId: string;
  /** Origin without a trailing slash. */
  readonly authority: string;
}

/** What is read of a projected service account token. Nothing of it is verified: Entra does that. */
export interface Claims {
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  readonly expiresAtSeconds: EpochSeconds | undefined;
}

/** What an exchange presents to Entra; sentences about refusals name these values. */
export interface ExchangeContext extends Identity {
  readonly claims: Claims;
}

/** Whose token is asked for, and with what. PURE. */

/** One identity at one authority; all values checked. */
export interface Identity {
  readonly clientId: string;
  /** GUID or verified domain. */
  readonly tenantId: string;
  /** Origin without a trailing slash. */
  readonly authority: string;
}

/** What is read of a projected service account token; nothing of it is verified, that is Entra's part. */
export interface Claims {
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  /** Seconds since 1970, where the token says. */
  readonly expiresAt: number | undefined;
}

/** What Entra was shown: sentences about its refusals name these values. */
export interface Presented extends Identity {
  readonly claims: Claims;
}

/** Set by the build; a program that runs from source says so. */
declare const PRODUCT_VERSION: string | undefined;

/** Version of this program. */
export const VERSION = typeof PRODUCT_VERSION === 'undefined' ? '0.0.0-source' : PRODUCT_VERSION;

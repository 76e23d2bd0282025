/** Set by the build. */
declare const PRODUCT_VERSION: string | undefined;

/** The version in `package.json`; a program that runs from source says so. */
export const VERSION = typeof PRODUCT_VERSION === 'undefined' ? '0.0.0-source' : PRODUCT_VERSION;

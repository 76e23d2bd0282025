/** The process's timer as a `Sleep`. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Sleep } from './time.js';

export const sleep: Sleep = (spanMs, signal) => wait(spanMs, undefined, { signal }).catch(() => undefined);

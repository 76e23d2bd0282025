/** How tests start a program of ours: `plainNodeCommand`, node as a user starts it. */

/**
 * Command and arguments for `spawn`. Without them the test runner gives every child its own loaders and coverage: they
 * cost a second each, and see nothing in a bundle.
 */
export function plainNodeCommand(...args: readonly string[]): [command: string, args: string[]] {
  return ['/usr/bin/env', ['-u', 'NODE_OPTIONS', '-u', 'NODE_V8_COVERAGE', process.execPath, ...args]];
}

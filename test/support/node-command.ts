/**
 * Command and arguments that start node as a user does: the test runner gives every child its own loaders and coverage,
 * which cost each a second and see nothing in a bundle.
 */
export function bareNode(...args: readonly string[]): [command: string, args: string[]] {
  return ['/usr/bin/env', ['-u', 'NODE_OPTIONS', '-u', 'NODE_V8_COVERAGE', process.execPath, ...args]];
}

/** Serves bare repositories through `git http-backend`, git's own CGI program. */
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { createPrograms } from '../process.js';

export interface GitBackendRequest {
  /** Directory below which the repositories are. */
  readonly root: string;
  /** Path of the bare repository below {@link root}, then of git's request, such as `/a/b.git/info/refs`. */
  readonly pathInfo: string;
  readonly query: string;
  /** User of the request; http-backend accepts pushes from authenticated users only. */
  readonly user: string;
  /** Where `git` is found. */
  readonly searchPath: string;
}

/** The first git that reads `GIT_CONFIG_SYSTEM`. */
const OLDEST_GIT = [2, 32] as const;

/** Checks that this machine's git can serve repositories and can be configured. @throws Error with what to install. */
export async function checkGit(searchPath: string): Promise<void> {
  const run = (...args: string[]) => createPrograms().run('git', args, { env: { PATH: searchPath } });
  const { code, stdout } = await run('version');
  if (code !== 0) throw new Error('git is not installed, or not found in PATH; install git 2.32 or later');
  const [, major = 0, minor = 0] = (/(?<!\d)(\d+)\.(\d+)/.exec(stdout) ?? []).map(Number);
  if (major < OLDEST_GIT[0] || (major === OLDEST_GIT[0] && minor < OLDEST_GIT[1])) {
    throw new Error(`${stdout.trim()} is too old; install git ${OLDEST_GIT.join('.')} or later`);
  }
  const backend = join((await run('--exec-path')).stdout.trim(), 'git-http-backend');
  await access(backend).catch(() => {
    throw new Error(`${backend} is missing; install it: on some systems it is in the package git-daemon`);
  });
}

/** Passes the request to `git http-backend` and streams its answer back; resolves when both are complete. */
export async function serveGit(
  request: IncomingMessage,
  response: ServerResponse,
  options: GitBackendRequest,
): Promise<void> {
  const backend = spawn('git', ['http-backend'], {
    env: createCgiEnvironment(request, options),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => {
    backend.once('error', () => {
      response.writeHead(500).end('git http-backend does not start');
      resolve();
    });
    backend.once('close', () => {
      response.end();
      resolve();
    });
  });
  // Not an error: the client disconnects, or the backend answers before it has read everything.
  backend.stdin.on('error', () => undefined);
  request.pipe(backend.stdin);
  response.once('close', () => backend.kill());
  streamCgiAnswer(backend.stdout, response);
  await ended;
}

/** RFC 3875. Without CONTENT_LENGTH http-backend reads to the end, as a chunked push needs. */
function createCgiEnvironment(request: IncomingMessage, options: GitBackendRequest): Record<string, string> {
  const { headers } = request;
  return {
    PATH: options.searchPath,
    HOME: devNull,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: devNull,
    GIT_PROJECT_ROOT: options.root,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: options.pathInfo,
    QUERY_STRING: options.query,
    REQUEST_METHOD: request.method ?? 'GET',
    REMOTE_USER: options.user,
    REMOTE_ADDR: '127.0.0.1',
    CONTENT_TYPE: headers['content-type'] ?? '',
    ...(headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: headers['content-length'] }),
    ...(headers['content-encoding'] === undefined ? {} : { HTTP_CONTENT_ENCODING: headers['content-encoding'] }),
    ...(typeof headers['git-protocol'] === 'string' ? { GIT_PROTOCOL: headers['git-protocol'] } : {}),
  };
}

/** A CGI answer: header lines, an empty line, then the body. The pseudo header `Status` has the status. */
function streamCgiAnswer(stdout: NodeJS.ReadableStream, response: ServerResponse): void {
  let head = Buffer.alloc(0);
  let headEnded = false;
  stdout.on('data', (chunk: Buffer) => {
    if (headEnded) {
      if (!response.write(chunk)) {
        stdout.pause();
        response.once('drain', () => stdout.resume());
      }
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return;
    headEnded = true;
    for (const line of head.subarray(0, end).toString('latin1').split('\r\n')) {
      const [name = '', ...value] = line.split(': ');
      if (name.toLowerCase() === 'status') response.statusCode = Number.parseInt(value.join(': '), 10);
      else response.setHeader(name, value.join(': '));
    }
    response.write(head.subarray(end + 4));
  });
}

/**
 * A strict emulator of Azure DevOps: real repositories under its URLs. With the real answers, it refuses requests without
 * a valid token of the organization's tenant, of identities that are not members or may only read, and too many.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { KeyedCertificate } from '../../certificates/pair.js';
import type { Now } from '../../time.js';
import type { AccessToken } from '../entra/access-tokens.js';
import { type Listening, listenWithTls } from '../network/loopback-server.js';
import {
  type Answer,
  answerNotFound,
  answerPushForbidden,
  answerSignIn,
  answerTooManyRequests,
  answerUnauthorized,
  sendAnswer,
} from './answers.js';
import { serveGit } from './git-backend.js';
import { getLfsDirectory, serveLfs } from './lfs.js';
import { parseTarget } from './urls.js';

export type Access = 'read' | 'write';

export interface Organization {
  readonly name: string;
  /** The Entra tenant to which the organization is connected. */
  readonly tenantId: string;
  /** The access of each member, by client id. */
  readonly members: Readonly<Record<string, Access>>;
  readonly projects: readonly { readonly name: string; readonly repositories: readonly string[] }[];
}

export interface AzureDevOpsOptions {
  readonly certificate: KeyedCertificate;
  /** Directory of the bare repositories, each at {@link getRepositoryPath}. */
  readonly root: string;
  readonly organizations: readonly Organization[];
  /** The token's record at Entra, or `undefined` where Entra has never issued it. */
  readonly findToken: (token: string) => AccessToken | undefined;
  readonly now: Now;
  /** Where `git` is found. */
  readonly searchPath: string;
}

/** A request and the status of its answer; a token is recorded by its digest only. */
export interface RecordedRequest {
  readonly method: string;
  readonly url: string;
  readonly userAgent: string;
  readonly scheme: 'none' | 'Basic' | 'Bearer' | 'other';
  readonly userName?: string;
  readonly tokenDigest?: string;
  /** 0 until it is answered. */
  status: number;
}

export interface AzureDevOpsEmulator extends Listening {
  readonly requests: readonly Readonly<RecordedRequest>[];
  /** Answers the next requests as if the identity were above its rate limit. */
  readonly throttle: (requests: number, retryAfterSeconds: number) => void;
  /** The function's answer, if it returns one, replaces the real one. A later call replaces the function. */
  readonly intercept: (answer: Interceptor) => void;
}

type Interceptor = (method: string, url: URL) => Answer | undefined;

interface Repository {
  /** Below the root. */
  readonly path: string;
  /** The access of the token's identity; `undefined` also where there is no such repository. */
  readonly access: Access | undefined;
}

/** Path of a bare repository below the root. */
export function getRepositoryPath(organization: string, project: string, repository: string): string {
  return join(organization, project, `${repository}.git`);
}

/** Starts the emulator of `dev.azure.com` and `*.visualstudio.com` on a free port of 127.0.0.1. */
export async function startAzureDevOpsEmulator(options: AzureDevOpsOptions): Promise<AzureDevOpsEmulator> {
  const requests: RecordedRequest[] = [];
  let throttled = { left: 0, retryAfterSeconds: 0 };
  let intercept: Interceptor = () => undefined;

  const listening = await listenWithTls(options.certificate, (request, response) => {
    const url = new URL(request.url ?? '/', `https://${request.headers.host ?? 'dev.azure.com'}`);
    const record = recordRequest(request, url);
    requests.push(record);
    response.once('finish', () => (record.status = response.statusCode));
    const answer = intercept(request.method ?? 'GET', url) ?? takeThrottled();
    if (answer !== undefined) sendAnswer(response, answer);
    else serve(options, request, response, url).catch(() => response.destroy());
  });

  function takeThrottled(): Answer | undefined {
    if (throttled.left === 0) return undefined;
    throttled = { ...throttled, left: throttled.left - 1 };
    return answerTooManyRequests(throttled.retryAfterSeconds);
  }

  return {
    ...listening,
    requests,
    throttle: (left, retryAfterSeconds) => (throttled = { left, retryAfterSeconds }),
    intercept: (answer) => (intercept = answer),
  };
}

async function serve(
  options: AzureDevOpsOptions,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const answer = await findAnswer(options, request, response, url);
  if (answer !== undefined) sendAnswer(response, answer);
}

/** The answer to send, or `undefined` where git or LFS has sent one. */
async function findAnswer(
  options: AzureDevOpsOptions,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<Answer | undefined> {
  const target = parseTarget(url);
  if (target === undefined) return { status: 404, body: 'The page can not be found.' };
  if (target.kind === 'sign-in') return answerSignIn(200);
  const organization = options.organizations.find(({ name }) => isSameName(name, target.organization));
  if (organization === undefined) return { status: 404, body: 'The organization can not be found.' };

  const token = authenticate(options, organization, request.headers.authorization);
  if (token === undefined) return answerUnauthorized(target.kind, organization.tenantId, request, url);
  if (target.kind === 'rest') return listRepositories(organization, token, target.path);

  const repository = findRepository(organization, target, token);
  if (repository.access === undefined) return answerNotFound(target.repository);
  const bare = join(options.root, repository.path);
  if (target.kind === 'lfs') {
    const directory = getLfsDirectory(bare);
    const infoLfs = url.href.slice(0, url.href.indexOf('/info/lfs/') + '/info/lfs'.length);
    const mayWrite = repository.access === 'write';
    await serveLfs(request, response, { directory, path: target.path, url: infoLfs, mayWrite });
    return undefined;
  }
  const pushes = target.path === 'git-receive-pack' || url.searchParams.get('service') === 'git-receive-pack';
  if (pushes && repository.access === 'read') return answerPushForbidden(token.clientId);
  const pathInfo = `/${repository.path}/${target.path}`;
  const query = url.search.slice(1);
  await serveGit(request, response, {
    root: options.root,
    pathInfo,
    query,
    user: token.clientId,
    searchPath: options.searchPath,
  });
  return undefined;
}

/** The token's record, if it is valid now in the organization's tenant. Basic needs a user name, and takes any. */
function authenticate(
  options: AzureDevOpsOptions,
  organization: Organization,
  authorization: string | undefined,
): AccessToken | undefined {
  const { token, userName, scheme } = readAuthorization(authorization);
  if (token === undefined || (scheme === 'Basic' && userName === '')) return undefined;
  const record = options.findToken(token);
  if (record === undefined || record.expiresAtMs <= options.now()) return undefined;
  return record.tenantId === organization.tenantId ? record : undefined;
}

interface Authorization {
  readonly scheme: RecordedRequest['scheme'];
  readonly userName?: string;
  readonly token?: string;
}

function readAuthorization(authorization: string | undefined): Authorization {
  if (authorization === undefined) return { scheme: 'none' };
  const [, scheme = '', value = ''] = /^(\S+) +(\S+)$/.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return { scheme: 'Bearer', token: value };
  if (scheme.toLowerCase() !== 'basic') return { scheme: 'other' };
  const [, userName = '', token = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(value, 'base64').toString()) ?? [];
  return { scheme: 'Basic', userName, token };
}

function findRepository(
  organization: Organization,
  target: { readonly project: string; readonly repository: string },
  token: AccessToken,
): Repository {
  const project = organization.projects.find(({ name }) => isSameName(name, target.project));
  const repository = project?.repositories.find((name) => isSameName(name, target.repository));
  const access = organization.members[token.clientId];
  if (project === undefined || repository === undefined) return { path: '', access: undefined };
  return { path: getRepositoryPath(organization.name, project.name, repository), access };
}

function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function listRepositories({ projects, members }: Organization, token: AccessToken, path: string): Answer {
  const headers = { 'Content-Type': 'application/json; charset=utf-8' };
  if (path !== 'git/repositories') return { status: 404, headers, body: JSON.stringify({ message: 'Not found' }) };
  const readable = members[token.clientId] === undefined ? [] : projects;
  const value = readable.flatMap((project) =>
    project.repositories.map((name) => ({ name, project: { name: project.name } })),
  );
  return { status: 200, headers, body: JSON.stringify({ count: value.length, value }) };
}

function recordRequest(request: IncomingMessage, url: URL): RecordedRequest {
  const { scheme, userName, token } = readAuthorization(request.headers.authorization);
  return {
    method: request.method ?? 'GET',
    url: url.href,
    userAgent: request.headers['user-agent'] ?? '',
    scheme,
    ...(userName === undefined ? {} : { userName }),
    ...(token === undefined || token === ''
      ? {}
      : { tokenDigest: createHash('sha256').update(token).digest('hex').slice(0, 12) }),
    status: 0,
  };
}

/** Git LFS as Azure DevOps serves it: the batch API with `basic` transfers, and empty lists of locks. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { buffer, json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

const MEDIA_TYPE = 'application/vnd.git-lfs+json';
const OBJECT_ID = /^[0-9a-f]{64}$/;

export interface LfsRequest {
  /** Directory of the repository's objects. */
  readonly directory: string;
  /** The part of the path after `info/lfs/`. */
  readonly path: string;
  /** URL of `info/lfs`, as the client sent it. */
  readonly url: string;
  readonly mayWrite: boolean;
}

/** Directory of the LFS objects, below the bare repository. */
export function getLfsDirectory(bareRepository: string): string {
  return join(bareRepository, 'lfs');
}

/** Answers one authenticated request of git-lfs. */
export async function serveLfs(request: IncomingMessage, response: ServerResponse, options: LfsRequest): Promise<void> {
  const objectId = /^objects\/([0-9a-f]{64})$/.exec(options.path)?.[1];
  if (request.method === 'POST' && options.path === 'objects/batch') {
    await answerBatch(request, response, options);
  } else if (request.method === 'POST' && options.path === 'locks/verify') {
    sendJson(response, 200, { ours: [], theirs: [] });
  } else if (request.method === 'GET' && options.path === 'locks') {
    sendJson(response, 200, { locks: [] });
  } else if (request.method === 'GET' && objectId !== undefined) {
    await sendObject(response, join(options.directory, objectId));
  } else if (request.method === 'PUT' && objectId !== undefined) {
    await receiveObject(request, response, options, objectId);
  } else {
    sendJson(response, 404, { message: 'Not found' });
  }
}

async function answerBatch(request: IncomingMessage, response: ServerResponse, options: LfsRequest): Promise<void> {
  const batch = await readBatch(request);
  if (batch === undefined) {
    sendJson(response, 422, { message: 'Not a batch request' });
    return;
  }
  if (batch.operation === 'upload' && !options.mayWrite) {
    sendJson(response, 403, { message: 'TF401027' });
    return;
  }
  const objects = await Promise.all(
    batch.objects.map(async ({ oid, size }) => {
      const exists = OBJECT_ID.test(oid) && (await isFile(join(options.directory, oid)));
      if (batch.operation === 'upload')
        return exists ? { oid, size } : { oid, size, actions: { upload: createLink(oid) } };
      if (exists) return { oid, size, actions: { download: createLink(oid) } };
      return { oid, size, error: { code: 404, message: 'Object does not exist' } };
    }),
  );
  sendJson(response, 200, { transfer: 'basic', objects });

  function createLink(oid: string): { href: string } {
    return { href: `${options.url}/objects/${oid}` };
  }
}

interface Batch {
  readonly operation: 'upload' | 'download';
  readonly objects: readonly { readonly oid: string; readonly size: number }[];
}

async function readBatch(request: IncomingMessage): Promise<Batch | undefined> {
  try {
    const batch = (await json(request)) as Partial<Batch>;
    const known = batch.operation === 'upload' || batch.operation === 'download';
    return known && Array.isArray(batch.objects) ? (batch as Batch) : undefined;
  } catch {
    return undefined;
  }
}

async function sendObject(response: ServerResponse, file: string): Promise<void> {
  if (!(await isFile(file))) {
    sendJson(response, 404, { message: 'Object does not exist' });
    return;
  }
  response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
  await pipeline(createReadStream(file), response);
}

async function receiveObject(
  request: IncomingMessage,
  response: ServerResponse,
  { directory, mayWrite }: LfsRequest,
  objectId: string,
): Promise<void> {
  if (!mayWrite) {
    sendJson(response, 403, { message: 'TF401027' });
    return;
  }
  const content = await buffer(request);
  if (createHash('sha256').update(content).digest('hex') !== objectId) {
    sendJson(response, 422, { message: 'The content does not have this object id' });
    return;
  }
  await mkdir(directory, { recursive: true });
  const incoming = join(directory, `incoming-${randomUUID()}`);
  await writeFile(incoming, content);
  await rename(incoming, join(directory, objectId));
  response.writeHead(200).end();
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': MEDIA_TYPE }).end(JSON.stringify(body));
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

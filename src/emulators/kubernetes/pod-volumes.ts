/** A pod's directories and volumes, below one directory of this machine: the root of all containers. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metadata } from '../../kubernetes/types.js';
import { CONFIG_DIRECTORY, STATE_DIRECTORY, SYSTEM_GITCONFIG, TOKEN_DIRECTORY } from '../../names.js';

/** The paths in an injected pod. */
const POD_PATHS = new RegExp(
  [TOKEN_DIRECTORY, STATE_DIRECTORY, CONFIG_DIRECTORY, SYSTEM_GITCONFIG].map((path) => `${path}(?![\\w-])`).join('|'),
  'g',
);

/** An entry of a `downwardAPI` volume: the fields that injection writes. */
export interface DownwardApiItem {
  readonly path: string;
  readonly fieldRef?: { readonly fieldPath: string };
}

/** The text with `directory` in front of the pod's paths. */
export function translatePaths(text: string, directory: string): string {
  return text.replace(POD_PATHS, (path) => join(directory, path));
}

/** Creates what a container has when it starts: the user's home, the state directory, an empty system configuration. */
export async function createContainerRoot(directory: string): Promise<void> {
  for (const path of ['/home', '/data', STATE_DIRECTORY]) await mkdir(join(directory, path), { recursive: true });
  await mkdir(join(directory, '/etc'), { recursive: true });
  await writeFile(join(directory, SYSTEM_GITCONFIG), '');
}

/** Writes a `downwardAPI` volume from the pod's annotations, with the paths in them translated. */
export async function writeDownwardApi(
  directory: string,
  mountPath: string,
  items: readonly DownwardApiItem[],
  metadata: Metadata,
): Promise<void> {
  const files: Record<string, string> = {};
  for (const { path, fieldRef } of items) {
    const annotation = /^metadata\.annotations\['(.+)'\]$/.exec(fieldRef?.fieldPath ?? '')?.[1] ?? '';
    files[path] = translatePaths(metadata.annotations?.[annotation] ?? '', directory);
  }
  await writeVolume(join(directory, mountPath), files, 0o644);
}

/**
 * Writes a volume as the kubelet does: into a new directory, then one rename of the link `..data`. A reader sees either
 * the old files or the new ones.
 */
export async function writeVolume(
  volume: string,
  files: Readonly<Record<string, string>>,
  mode: number,
): Promise<void> {
  const data = `..${randomUUID()}`;
  await mkdir(join(volume, data), { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(volume, data, name), content, { mode });
  await symlink(data, join(volume, '..data_tmp'));
  await rename(join(volume, '..data_tmp'), join(volume, '..data'));
  for (const name of Object.keys(files)) {
    await symlink(join('..data', name), join(volume, name)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
}

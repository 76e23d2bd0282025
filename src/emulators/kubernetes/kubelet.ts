/**
 * An emulator of the kubelet for an injected pod, without containers: it creates the volumes below a directory, keeps the
 * native sidecar running as a real process, and runs programs with the environment of the containers.
 */
import { once } from 'node:events';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, Pod, VolumeMount } from '../../kubernetes/types.js';
import { CONFIG_DIRECTORY, CONFIG_FILE, IMAGE, SIDECAR_CONTAINER, SIDECAR_ENV, SYSTEM_GITCONFIG } from '../../names.js';
import { listen } from '../network/loopback-server.js';
import type { Programs, RunResult } from '../process.js';
import {
  createContainerRoot,
  type DownwardApiItem,
  translatePaths,
  writeDownwardApi,
  writeVolume,
} from './pod-volumes.js';
import { supervise } from './supervisor.js';
import type { TokenIssuer } from './token-issuer.js';

export interface KubeletOptions {
  readonly programs: Programs;
  /** The pod as the API server stores it, patched. */
  readonly pod: Pod;
  readonly namespace: string;
  /** An empty directory: the root of all containers. */
  readonly directory: string;
  readonly issuer: TokenIssuer;
  /** `sidecar.cjs`, in place of the one in the image. */
  readonly sidecarProgram: string;
  /** The environment of the workload's image; at least `PATH`. */
  readonly imageEnv: Readonly<Record<string, string>>;
}

export interface RunningPod {
  /** Where a path of the containers is on this machine. */
  readonly locate: (path: string) => string;
  /** The sidecar's port on 127.0.0.1. */
  readonly port: number;
  /** The lines of the sidecar's log, over all restarts. */
  readonly log: readonly string[];
  readonly restarts: () => number;
  /** The environment of programs in the container. */
  readonly environment: (container: string) => Readonly<Record<string, string>>;
  /** Runs a program in the container; it has no terminal. */
  readonly run: (container: string, command: readonly string[], options?: InContainer) => Promise<RunResult>;
  /** HTTP status of an endpoint of the sidecar; 0 without an answer. */
  readonly probe: (path: string) => Promise<number>;
  /** Kills the sidecar with SIGKILL; the kubelet restarts it as after any crash. */
  readonly killSidecar: () => Promise<void>;
  /** Replaces the projected token, as the kubelet does at 80 % of its lifetime. */
  readonly renewToken: () => Promise<void>;
  /** Stops the pod; returns the sidecar's exit code. */
  readonly stop: () => Promise<number | null>;
}

export interface InContainer {
  /** Below `/data` of the container. */
  readonly directory?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

interface InjectedContainer extends Container {
  readonly command?: readonly string[];
  readonly startupProbe?: { readonly httpGet?: { readonly path: string }; readonly periodSeconds?: number };
}

interface InjectedVolume {
  readonly name: string;
  readonly downwardAPI?: { readonly items: readonly DownwardApiItem[] };
  readonly projected?: {
    readonly sources: readonly { readonly serviceAccountToken?: ServiceAccountTokenSource }[];
  };
}

interface ServiceAccountTokenSource {
  readonly audience: string;
  readonly expirationSeconds: number;
  readonly path: string;
}

/** Starts the pod; resolves when its containers may start: after the sidecar's startup probe, where it has one. */
export async function startPod(options: KubeletOptions): Promise<RunningPod> {
  const { pod, directory, programs } = options;
  const sidecar = findContainer(pod, SIDECAR_CONTAINER);
  const locate = (path: string): string => join(directory, path);
  const environment = (container: string): Record<string, string> => createEnvironment(options, container);
  const renewToken = (): Promise<void> => writeTokens(options, sidecar);
  await createContainerRoot(directory);
  await writeConfigurations(pod, directory);
  await renewToken();

  const port = await findFreePort();
  const probe = (path: string): Promise<number> => requestStatus(port, path);
  const env = { ...readEnv(sidecar, directory), [SIDECAR_ENV.port]: String(port) };
  const { log, restarts, kill, stop } = supervise(programs, findCommand(options, sidecar), env);
  const { startupProbe } = sidecar;
  while (startupProbe !== undefined && (await probe(startupProbe.httpGet?.path ?? '/')) !== 200) {
    if (programs.areStopped()) throw new Error('the pod was stopped before it had started');
    await sleep((startupProbe.periodSeconds ?? 10) * 1000);
  }
  return {
    locate,
    port,
    log,
    restarts,
    environment,
    probe,
    renewToken,
    stop,
    killSidecar: kill,
    run: (container, [command = '', ...args], { directory: below = '', env = {}, input } = {}) =>
      programs.run(command, args, {
        env: { ...environment(container), ...env },
        cwd: locate(join('/data', below)),
        ...(input === undefined ? {} : { input }),
      }),
  };
}

function findContainer({ spec }: Pod, name: string): InjectedContainer {
  const container = [...(spec.initContainers ?? []), ...spec.containers].find((one) => one.name === name);
  if (container === undefined) throw new Error(`the pod has no container ${name}`);
  return container;
}

async function writeConfigurations({ metadata, spec }: Pod, directory: string): Promise<void> {
  for (const volume of (spec.volumes ?? []) as readonly InjectedVolume[]) {
    if (volume.downwardAPI === undefined) continue;
    const mount = spec.containers
      .flatMap(listMounts)
      .find((one) => one.name === volume.name && one.subPath === undefined);
    if (mount === undefined) throw new Error(`no container mounts the volume ${volume.name}`);
    await writeDownwardApi(directory, mount.mountPath, volume.downwardAPI.items, metadata);
  }
}

/** Writes a fresh token into each projected volume that the sidecar mounts. */
async function writeTokens(options: KubeletOptions, sidecar: InjectedContainer): Promise<void> {
  const { pod, namespace, issuer, directory } = options;
  for (const volume of (pod.spec.volumes ?? []) as readonly InjectedVolume[]) {
    const mount = listMounts(sidecar).find((one) => one.name === volume.name);
    for (const { serviceAccountToken: source } of volume.projected?.sources ?? []) {
      if (mount === undefined || source === undefined) continue;
      const token = await issuer.mintToken({
        namespace,
        serviceAccount: pod.spec.serviceAccountName ?? 'default',
        pod: pod.metadata.name ?? pod.metadata.generateName ?? '',
        audience: source.audience,
        lifetimeSeconds: source.expirationSeconds,
      });
      await writeVolume(join(directory, mount.mountPath), { [source.path]: token }, 0o600);
    }
  }
}

function listMounts({ volumeMounts }: Container): readonly VolumeMount[] {
  return volumeMounts ?? [];
}

/** The container's command, with this machine's programs in place of the image's. */
function findCommand({ sidecarProgram }: KubeletOptions, { command = [] }: InjectedContainer): readonly string[] {
  const local: Readonly<Record<string, string>> = { [IMAGE.node]: process.execPath, [IMAGE.sidecar]: sidecarProgram };
  return command.map((word) => local[word] ?? word);
}

/** Variables of the image and of the pod, and the path of git's system configuration. */
function createEnvironment({ pod, directory, imageEnv }: KubeletOptions, name: string): Record<string, string> {
  const container = findContainer(pod, name);
  const coversSystem = listMounts(container).some(({ mountPath }) => mountPath === SYSTEM_GITCONFIG);
  // Mounting over /etc/gitconfig needs a mount namespace; a variable names the file instead.
  const system = coversSystem ? join(CONFIG_DIRECTORY, CONFIG_FILE.gitconfig) : SYSTEM_GITCONFIG;
  return {
    HOME: join(directory, '/home'),
    ...imageEnv,
    GIT_CONFIG_SYSTEM: join(directory, system),
    ...readEnv(container, directory),
  };
}

function readEnv({ env }: Container, directory: string): Record<string, string> {
  const literal = (env ?? []).filter(({ valueFrom }) => valueFrom === undefined);
  return Object.fromEntries(literal.map(({ name, value }) => [name, translatePaths(value ?? '', directory)]));
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}

function requestStatus(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).once('error', () => resolve(0));
  });
}

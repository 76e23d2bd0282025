/** Where the Kubernetes API server is, and how to authenticate there: types only. */
import type { RequestOptions } from 'node:https';
import type { Now } from '../time.js';

export interface Connection {
  readonly server: URL;
  /** Headers, certificates and, behind a proxy, an agent. Asked before each request, as tokens are rotated. */
  authorize(): Promise<RequestOptions>;
}

export interface KubeconfigSettings {
  readonly kind: 'kubeconfig';
  /** One path, or several as kubectl takes them. */
  readonly path: string;
}

export interface PodSettings {
  readonly kind: 'pod';
  readonly serviceHost: string;
  readonly servicePort: string;
}

export type ConnectionSettings = KubeconfigSettings | PodSettings;

/** @throws ProductError `configuration` that names the file or variable that is missing or wrong. */
export type Connect = (settings: ConnectionSettings, now: Now) => Promise<Connection>;

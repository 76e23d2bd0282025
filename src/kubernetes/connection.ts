/** Where the Kubernetes API server is, and how to authenticate there. */
import type { RequestOptions } from 'node:https';

/** A server's origin, and what every request to it needs, asked afresh for each as tokens are rotated. */
export interface Connection {
  readonly server: URL;
  /** Headers, certificates and, behind a proxy, an agent of its own. */
  authorize(): Promise<RequestOptions>;
}

/** Which of the two it is. */
export type ConnectionSettings =
  /** One path, or several as kubectl takes them. */
  | { readonly kind: 'kubeconfig'; readonly path: string }
  | { readonly kind: 'pod'; readonly serviceHost: string; readonly servicePort: string };

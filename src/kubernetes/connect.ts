/** Connects to the API server: from a pod by its service account, elsewhere by kubeconfig files. */
import type { Connect } from './connection.js';
import { connectInPod } from './in-cluster.js';

export const connect: Connect = async (settings, now) => {
  if (settings.kind === 'pod') return await connectInPod(settings, now);
  // A bundle of its own: client-node, which reads them, would cost every pod of the webhook memory.
  const { connectByKubeconfig } = await import('./kubeconfig.js');
  return connectByKubeconfig(settings.path);
};

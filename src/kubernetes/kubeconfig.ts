/** Connects to the API server by kubeconfig files, read with client-node: contexts, certificates, exec plug-ins, proxies. */
import type { RequestOptions } from 'node:https';
import { delimiter } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { describeError, ProductError } from '../errors.js';
import type { Connection } from './connection.js';

/**
 * @param path of a kubeconfig file, or several as kubectl takes them.
 * @throws ProductError `configuration` where it names no cluster.
 */
export function connectByKubeconfig(path: string): Connection {
  const config = readKubeconfig(path);
  const cluster = config.getCurrentCluster();
  if (cluster === null || !URL.canParse(cluster.server)) {
    throw new ProductError(
      'configuration',
      `the kubeconfig ${path} (KUBECONFIG) has no current context with a cluster and its server's address: kubectl config use-context NAME`,
    );
  }
  return {
    server: new URL(cluster.server),
    authorize: async () => {
      const options: RequestOptions = { headers: {} };
      await config.applyToHTTPSOptions(options);
      // client-node makes an agent for each request. Only a proxy needs one; with any other, each request costs a handshake.
      if (cluster.proxyUrl === undefined) delete options.agent;
      return options;
    },
  };
}

function readKubeconfig(path: string): KubeConfig {
  const config = new KubeConfig();
  const [first = '', ...others] = path.split(delimiter);
  try {
    config.loadFromFile(first);
    for (const other of others) {
      const more = new KubeConfig();
      more.loadFromFile(other);
      config.mergeConfig(more);
    }
  } catch (error) {
    const message = `the kubeconfig ${path} (KUBECONFIG) can't be read: ${describeError(error)}`;
    throw new ProductError('configuration', message, { cause: error });
  }
  return config;
}

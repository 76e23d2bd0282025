/** The Namespaces and ServiceAccounts of a file, by name. */
import { readField, visitObjects } from './pod-templates.js';

export interface FileObjects {
  readonly findNamespace: (name: string) => unknown;
  readonly findServiceAccount: (namespace: string, name: string) => unknown;
}

/** @param defaultNamespace of service accounts that name none. */
export function indexObjects(documents: readonly unknown[], defaultNamespace: string): FileObjects {
  const namespaces = new Map<unknown, unknown>();
  const serviceAccounts = new Map<string, unknown>();
  const nameServiceAccount = (namespace: unknown, name: unknown): string => JSON.stringify([namespace, name]);
  for (const document of documents) {
    visitObjects(document, (object) => {
      if (object['apiVersion'] !== 'v1') return;
      const name = readField(object, 'metadata', 'name');
      // Of two with one name, the first counts.
      if (object['kind'] === 'Namespace') namespaces.set(name, namespaces.get(name) ?? object);
      if (object['kind'] !== 'ServiceAccount') return;
      const id = nameServiceAccount(readField(object, 'metadata', 'namespace') ?? defaultNamespace, name);
      serviceAccounts.set(id, serviceAccounts.get(id) ?? object);
    });
  }
  return {
    findNamespace: (name) => namespaces.get(name),
    findServiceAccount: (namespace, name) => serviceAccounts.get(nameServiceAccount(namespace, name)),
  };
}

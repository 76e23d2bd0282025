/** The caBundle of the webhook configuration: what API servers verify the webhook by. Read and patched by name alone. */
import { ProductError } from '../errors.js';
import { API_TIMEOUT_MS, createRefusal, judgeWrite, type Written } from '../kubernetes/answer.js';
import type { ObjectsApi } from '../kubernetes/client.js';
import { WEBHOOK_ENTRY, WEBHOOK_NAME } from '../names.js';
import { parseCertificates } from './managed/key-material.js';

export interface Configuration {
  readonly uid: string;
  readonly resourceVersion: string;
  /** PEM, as far as it is; empty where none is set. */
  readonly caBundle: string;
  /** The certificates in it, each as node writes it. */
  readonly certificates: readonly string[];
  /** Whether nothing else is in it. */
  readonly isClean: boolean;
}

export interface CaBundle {
  /**
   * @returns undefined where there is no such configuration.
   * @throws ProductError `kubernetes-api`.
   */
  read(): Promise<Configuration | undefined>;
  /** @throws ProductError `kubernetes-api`. */
  write(read: Configuration, caBundle: string): Promise<Written>;
}

interface ConfigurationObject {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string };
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig: { readonly caBundle?: string } }[];
}

const PATH = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${WEBHOOK_NAME}`;
const NAME = `the MutatingWebhookConfiguration ${WEBHOOK_NAME}`;

export function createCaBundle(api: Pick<ObjectsApi, 'get' | 'patch'>): CaBundle {
  let last: Configuration | undefined;
  return {
    read: async () => {
      const answer = await api.get(PATH, API_TIMEOUT_MS);
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw createRefusal(answer, 'get', NAME);
      const { metadata, webhooks } = answer.body as ConfigurationObject;
      const { uid, resourceVersion } = metadata;
      if (last?.resourceVersion === resourceVersion) return last;
      const entry = webhooks?.find(({ name }) => name === WEBHOOK_ENTRY);
      if (entry === undefined) {
        const mend = 'run helm upgrade again';
        throw new ProductError('kubernetes-api', `${NAME} has no webhook ${WEBHOOK_ENTRY}; ${mend}`);
      }
      const caBundle = Buffer.from(entry.clientConfig.caBundle ?? '', 'base64').toString();
      last = { uid, resourceVersion, caBundle, ...parseCertificates(caBundle) };
      return last;
    },
    write: async ({ resourceVersion }, caBundle) => {
      // Of the list of webhooks a strategic merge touches the named one, and of it this field.
      const clientConfig = { caBundle: Buffer.from(caBundle).toString('base64') };
      const body = { metadata: { resourceVersion }, webhooks: [{ name: WEBHOOK_ENTRY, clientConfig }] };
      const answer = await api.patch(PATH, 'application/strategic-merge-patch+json', body, API_TIMEOUT_MS);
      return judgeWrite(answer, 'patch', NAME);
    },
  };
}

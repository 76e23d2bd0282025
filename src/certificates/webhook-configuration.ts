/** The caBundle of the webhook configuration, by which API servers verify the webhook. Only read and patched by name. */
import type { V1MutatingWebhook, V1ObjectMeta } from '@kubernetes/client-node';
import { ProductError } from '../errors.js';
import { API_TIMEOUT_MS, createRefusal, judgeWrite, type Written } from '../kubernetes/answer.js';
import type { ObjectsApi } from '../kubernetes/client.js';
import type { Plain } from '../kubernetes/types.js';
import { WEBHOOK_ENTRY, WEBHOOK_NAME } from '../names.js';
import { parseCertificates, type PemCertificates } from './pem.js';

export interface Configuration extends PemCertificates {
  readonly uid: string;
  readonly resourceVersion: string;
  /** Decoded, which should give PEM; empty where none is set. */
  readonly caBundle: string;
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

/** The fields that are read. */
interface ConfigurationObject {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string };
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig: { readonly caBundle?: string } }[];
}

/** Of the list of webhooks a strategic merge changes the named one only, and of that one this field only. */
interface ConfigurationPatch {
  readonly metadata: Plain<Pick<V1ObjectMeta, 'resourceVersion'>>;
  readonly webhooks: readonly Plain<Pick<V1MutatingWebhook, 'name' | 'clientConfig'>>[];
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
        throw new ProductError('kubernetes-api', `${NAME} has no webhook ${WEBHOOK_ENTRY}; run helm upgrade again`);
      }
      const caBundle = Buffer.from(entry.clientConfig.caBundle ?? '', 'base64').toString();
      last = { uid, resourceVersion, caBundle, ...parseCertificates(caBundle) };
      return last;
    },
    write: async ({ resourceVersion }, caBundle) => {
      const clientConfig = { caBundle: Buffer.from(caBundle).toString('base64') };
      const patch: ConfigurationPatch = {
        metadata: { resourceVersion },
        webhooks: [{ name: WEBHOOK_ENTRY, clientConfig }],
      };
      const answer = await api.patch(PATH, 'application/strategic-merge-patch+json', patch, API_TIMEOUT_MS);
      return judgeWrite(answer, 'patch', NAME);
    },
  };
}

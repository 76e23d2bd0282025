/** What the webhook's tests share: an identity, a certificate authority, and `request` for HTTP and HTTPS. */
import { Buffer } from 'node:buffer';
import * as http from 'node:http';
import * as https from 'node:https';
import { createAuthority, issueCertificate } from '../../src/certificates/authority.js';
import type { KeyedCertificate } from '../../src/certificates/pair.js';
import { AZURE_ANNOTATION, webhookHost } from '../../src/names.js';
import { epochMs } from '../../src/time.js';

export const CLIENT_ID = '11111111-2222-3333-4444-555555555555';
export const TENANT_ID = '66666666-7777-8888-9999-aaaaaaaaaaaa';
/** Where the webhook runs. */
export const NAMESPACE = 'ado-git';
export const IDENTITY = {
  [AZURE_ANNOTATION.clientId]: CLIENT_ID,
  [AZURE_ANNOTATION.tenantId]: TENANT_ID,
};

export interface Pki {
  readonly authority: KeyedCertificate;
  /** For the webhook and the API server of a test. */
  readonly server: KeyedCertificate;
  readonly issue: (commonName?: string) => Promise<KeyedCertificate>;
}

export async function createPki(): Promise<Pki> {
  const now = epochMs(Date.now());
  const authority = await createAuthority({ commonName: 'test authority', days: 1, now });
  const dnsNames = ['localhost', webhookHost(NAMESPACE)];
  const issue = (commonName = 'webhook.test'): Promise<KeyedCertificate> =>
    issueCertificate(authority, { commonName, dnsNames, ipAddresses: ['127.0.0.1'], days: 1, now });
  return { authority, server: await issue(), issue };
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

export interface RequestOptions extends https.RequestOptions {
  readonly body?: string | Buffer;
}

/** Sends one request; rejects where the connection breaks. */
export function request(url: string, { body, ...options }: RequestOptions = {}): Promise<Answer> {
  const { request: send } = url.startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    const sent = send(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

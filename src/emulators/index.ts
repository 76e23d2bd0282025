/** The door of the emulators: strict stand-ins for Entra, Azure DevOps and the Kubernetes programs that the product talks to. */
export { type AzureEmulator, type EmulatedIdentity, federate, startAzureEmulator, TENANT_ID } from './azure.js';
export { checkGit } from './azure-devops/git-backend.js';
export { createOrganizations, LFS_CONTENT } from './azure-devops/organizations.js';
export { type AccessToken, type AzureDevOpsEmulator, startAzureDevOpsEmulator } from './azure-devops/server.js';
export { type EntraEmulator, type EntraOptions, type Outage, startEntraEmulator } from './entra/token-endpoint.js';
export { type Admission, type RunningWebhook, startWebhook } from './kubernetes/admission-client.js';
export { type ServiceAccountApi, startServiceAccountApi } from './kubernetes/api-server.js';
export { type InContainer, type RunningPod, startPod } from './kubernetes/kubelet.js';
export { translatePaths, writeVolume } from './kubernetes/pod-volumes.js';
export { createTokenIssuer, type TokenIssuer } from './kubernetes/token-issuer.js';
export { startConnectProxy } from './network/connect-proxy.js';
export { listenWithTls } from './network/loopback-server.js';
export { createPrograms, type Programs, type RunResult } from './process.js';

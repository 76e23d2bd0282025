/** The entrance of the emulators: Entra, Azure DevOps, and the parts of Kubernetes that the product talks to. */
export { type AzureEmulator, type EmulatedIdentity, federate, startAzureEmulator, TENANT_ID } from './azure.js';
export { checkGit } from './azure-devops/git-backend.js';
export { createOrganizations, LFS_CONTENT } from './azure-devops/organizations.js';
export { type AzureDevOpsEmulator, startAzureDevOpsEmulator } from './azure-devops/server.js';
export type { AccessToken } from './entra/access-tokens.js';
export type { EntraFault } from './entra/fault.js';
export { type EntraEmulator, type EntraOptions, startEntraEmulator } from './entra/token-endpoint.js';
export { type ApiServerEmulator, startApiServerEmulator } from './kubernetes/api-server.js';
export { type InContainer, type RunningPod, startPod } from './kubernetes/kubelet.js';
export { translatePaths, writeVolume } from './kubernetes/pod-volumes.js';
export { createTokenIssuer, type TokenIssuer } from './kubernetes/token-issuer.js';
export { startConnectProxy } from './network/connect-proxy.js';
export { listenWithTls } from './network/loopback-server.js';
export { createPrograms, type Programs, type RunResult, stopProgram } from './process.js';

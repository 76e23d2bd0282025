/** Entra's directory: tenants with their domains, and applications with their federated credentials. */

export interface FederatedCredential {
  readonly issuer: string;
  /** Compared with upper and lower case. */
  readonly subject: string;
  readonly audience: string;
}

export interface Application {
  readonly clientId: string;
  readonly tenantId: string;
  readonly federatedCredentials: readonly FederatedCredential[];
  readonly disabled?: boolean;
}

/** The verified domains of each tenant, by tenant id. */
export type Tenants = Readonly<Record<string, readonly string[]>>;

export type Directory = ReturnType<typeof createDirectory>;

export function createDirectory(tenants: Tenants, applications: readonly Application[]) {
  const byClientId = new Map(applications.map((application) => [application.clientId.toLowerCase(), application]));
  return {
    /** The id of a tenant, by its id or one of its domains, as they are in a URL. */
    findTenant: (name: string): string | undefined => {
      const wanted = decodeURIComponent(name).toLowerCase();
      return Object.keys(tenants).find((id) => id.toLowerCase() === wanted || tenants[id]?.includes(wanted) === true);
    },
    findApplication: (clientId: string): Application | undefined => byClientId.get(clientId.toLowerCase()),
    /** @throws Error for an application that is not in the directory. */
    changeApplication: (clientId: string, change: Partial<Application>): void => {
      const application = byClientId.get(clientId.toLowerCase());
      if (application === undefined) throw new Error(`the emulator of Entra has no application ${clientId}`);
      byClientId.set(clientId.toLowerCase(), { ...application, ...change });
    },
  };
}

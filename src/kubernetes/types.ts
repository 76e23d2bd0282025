/**
 * The parts of Kubernetes' objects that the code reads. Types only: `inject/pod-shape.ts` checks that a pod from outside has
 * this shape before anything reads it. Fields that are not named here survive untouched.
 */

export interface EnvVar {
  readonly name: string;
  readonly value?: string | null;
  readonly valueFrom?: unknown;
}

export interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly subPath?: string | null;
}

export interface ContainerPort {
  readonly containerPort?: number | null;
}

export type Quantities = Readonly<Record<string, string | number>>;

export interface Resources {
  readonly requests?: Quantities | null;
  readonly limits?: Quantities | null;
}

export interface SecurityContext {
  readonly runAsUser?: number | null;
  readonly runAsNonRoot?: boolean | null;
}

export interface Container {
  readonly name: string;
  readonly env?: readonly EnvVar[] | null;
  readonly envFrom?: readonly unknown[] | null;
  readonly volumeMounts?: readonly VolumeMount[] | null;
  readonly ports?: readonly ContainerPort[] | null;
  readonly resources?: Resources | null;
  readonly securityContext?: SecurityContext | null;
}

export interface Volume {
  readonly name: string;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[] | null;
  readonly volumes?: readonly Volume[] | null;
  readonly imagePullSecrets?: readonly { readonly name?: string | null }[] | null;
  readonly serviceAccountName?: string | null;
  readonly securityContext?: SecurityContext | null;
  readonly resources?: Resources | null;
  readonly hostNetwork?: boolean | null;
  readonly os?: { readonly name?: string | null } | null;
  readonly nodeSelector?: Readonly<Record<string, string>> | null;
}

export interface Metadata {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly annotations?: Readonly<Record<string, string>> | null;
  readonly ownerReferences?: readonly OwnerReference[] | null;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

export interface Pod {
  readonly metadata: Metadata;
  readonly spec: PodSpec;
}

/** What we write, as JSON: a type of `@kubernetes/client-node` without its classes, and with times as texts. */
export type Plain<T> = T extends Date ? string : T extends object ? { readonly [K in keyof T]: Plain<T[K]> } : T;

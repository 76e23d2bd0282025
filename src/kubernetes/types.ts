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
  readonly subPathExpr?: string | null;
  readonly readOnly?: boolean | null;
  readonly mountPropagation?: string | null;
}

export interface VolumeDevice {
  readonly name: string;
  readonly devicePath: string;
}

export interface ContainerPort {
  readonly containerPort?: number | null;
  readonly name?: string | null;
}

export type Quantities = Readonly<Record<string, string | number>>;

export interface Resources {
  readonly requests?: Quantities | null;
  readonly limits?: Quantities | null;
}

export interface SecurityContext {
  readonly runAsUser?: number | null;
  readonly runAsNonRoot?: boolean | null;
  readonly windowsOptions?: object | null;
}

export interface Container {
  readonly name: string;
  readonly image?: string | null;
  readonly env?: readonly EnvVar[] | null;
  readonly envFrom?: readonly unknown[] | null;
  readonly volumeMounts?: readonly VolumeMount[] | null;
  readonly volumeDevices?: readonly VolumeDevice[] | null;
  readonly ports?: readonly ContainerPort[] | null;
  readonly resources?: Resources | null;
  readonly securityContext?: SecurityContext | null;
}

export interface Volume {
  readonly name: string;
}

export interface NodeSelectorRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[] | null;
}

/** Its requirements must all hold. */
export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly NodeSelectorRequirement[] | null;
  readonly matchFields?: readonly unknown[] | null;
}

/** One of the required terms must hold. */
export interface Affinity {
  readonly nodeAffinity?: {
    readonly requiredDuringSchedulingIgnoredDuringExecution?: {
      readonly nodeSelectorTerms?: readonly NodeSelectorTerm[] | null;
    } | null;
  } | null;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[] | null;
  readonly ephemeralContainers?: readonly Container[] | null;
  readonly volumes?: readonly Volume[] | null;
  readonly imagePullSecrets?: readonly { readonly name?: string | null }[] | null;
  readonly serviceAccountName?: string | null;
  readonly securityContext?: SecurityContext | null;
  readonly resources?: Resources | null;
  readonly hostNetwork?: boolean | null;
  readonly hostPID?: boolean | null;
  readonly shareProcessNamespace?: boolean | null;
  readonly os?: { readonly name?: string | null } | null;
  readonly nodeSelector?: Readonly<Record<string, string>> | null;
  readonly affinity?: Affinity | null;
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

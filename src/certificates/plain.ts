/** client-node describes Kubernetes' objects by classes; what is sent to the API server is plain JSON of the same shape. */

/** The shape of a class instance, all the way down, for an object that is not one. */
export type Plain<T> = T extends Date
  ? string
  : T extends (infer Item)[]
    ? Plain<Item>[]
    : T extends object
      ? { [Key in keyof T]: Plain<T[Key]> }
      : T;

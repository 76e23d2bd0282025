/** What is read of the API server's answers about service accounts: no part that others may fill with anything else. PURE. */
import { MAX_ANNOTATION_LENGTH } from '../defaults.js';
import { isReadFromServiceAccount, OVERLONG_VALUE } from '../inject/index.js';
import { type PickerOptions, type Selection, selectMembers } from '../kubernetes/json-picker.js';

/** JSON needs at most six bytes for a character, so that a string with more is longer than an annotation may be. */
const LIMITS = { maxStringBytes: 6 * MAX_ANNOTATION_LENGTH, overlong: OVERLONG_VALUE };

const METADATA = selectMembers({
  name: 'scalar',
  namespace: 'scalar',
  resourceVersion: 'scalar',
  annotations: { choose: (name) => (isReadFromServiceAccount(name) ? 'scalar' : undefined) },
});

/** Of a ServiceAccount, or of a `Status` in its place. */
export const ONE_ACCOUNT: PickerOptions = {
  ...LIMITS,
  selection: selectMembers({ metadata: METADATA, message: 'scalar' }),
};

/** Of an event of a watch, whose object is a ServiceAccount or a `Status`. */
export const WATCH_EVENT: PickerOptions = {
  ...LIMITS,
  selection: selectMembers({
    type: 'scalar',
    object: selectMembers({ metadata: METADATA, code: 'scalar', message: 'scalar' }),
  }),
};

/**
 * Of a page of a list, or of a `Status` in its place.
 * @param onItem called with each service account as soon as it is whole; the items of the answer stay empty.
 */
export function selectPage(onItem: (item: unknown) => void): PickerOptions {
  const finish = (item: unknown): undefined => {
    onItem(item);
    return undefined;
  };
  const item: Selection = { choose: selectMembers({ metadata: METADATA }).choose, finish };
  return {
    ...LIMITS,
    selection: selectMembers({
      metadata: selectMembers({ resourceVersion: 'scalar', continue: 'scalar' }),
      items: { choose: () => item },
      message: 'scalar',
    }),
  };
}

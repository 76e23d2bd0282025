/** First act: a pod is created, and the webhook patches it. */
import type { Pod } from '../../kubernetes/types.js';
import { ANNOTATION } from '../../names.js';
import { type Context, NAMESPACE, patchPod, writePod } from '../context.js';
import { describePatch, describeValue } from '../format.js';
import { check } from '../steps.js';

/** Returns the patched pod. */
export async function runAdmissionChapter({ webhook, terminal, step }: Context): Promise<Pod> {
  terminal.chapter('A pod is created');
  const pod = writePod('builder');
  terminal.tell(`Its author wrote this; it goes to the webhook in an AdmissionReview of the namespace ${NAMESPACE}:`);
  terminal.show(describeValue(pod));

  const admission = await step(
    ({ patch, milliseconds, tls }) =>
      `the webhook answers over ${tls} in ${milliseconds.toFixed(0)} ms: ${patch.length} operations, all of them add`,
    async () => {
      const answer = await webhook.admit(NAMESPACE, pod);
      check(answer.allowed, `the webhook refused the pod: ${answer.message}`);
      check(answer.patch.length > 0, 'the webhook did not patch the pod');
      check(answer.warnings.length === 0, `the webhook warned: ${answer.warnings.join(' ')}`);
      const others = answer.patch.filter(({ op }) => op !== 'add');
      check(others.length === 0, `the patch does not only add: ${JSON.stringify(others)}`);
      return answer;
    },
    'the webhook is asked about the pod',
  );
  terminal.show(describePatch(admission.patch));

  const patched = patchPod(pod, admission);
  await step('asked again about the patched pod, it changes nothing', async () => {
    const { allowed, patch } = await webhook.admit(NAMESPACE, patched);
    check(allowed && patch.length === 0, `the second pass made a patch: ${JSON.stringify(patch)}`);
  });
  const refusal = await step("a pod that can't be served is told why, and what mends it", async () => {
    const answer = await webhook.admit(NAMESPACE, withoutIdentity());
    check(!answer.allowed, 'a pod without an identity was admitted though it asks to be injected');
    return answer.message;
  });
  terminal.tell(refusal);
  return patched;
}

/** Asks by name to be injected, but its service account names no identity. */
function withoutIdentity(): Pod {
  const pod = writePod('builder', { [ANNOTATION.inject]: 'enabled' });
  return {
    metadata: { ...pod.metadata, name: 'stranger-1' },
    spec: { ...pod.spec, serviceAccountName: 'stranger' },
  };
}

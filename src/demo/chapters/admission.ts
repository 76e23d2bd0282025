/** Chapter 1: a pod is created, and the webhook patches it. */
import type { Pod } from '../../kubernetes/types.js';
import { ANNOTATION, SIDECAR_ENV } from '../../names.js';
import { type Context, createManifest, createServiceAccount, NAMESPACE, patchPod } from '../context.js';
import { describePatch, describeValue } from '../format.js';
import { check } from '../steps.js';

/** Returns the patched pod. */
export async function runAdmissionChapter({ webhook, terminal, step }: Context): Promise<Pod> {
  terminal.chapter('A pod is created');
  const pod = createManifest('builder');
  terminal.explain(`The pod as its author wrote it; the API server sends it to the webhook, namespace ${NAMESPACE}:`);
  terminal.show(describeValue(pod));
  terminal.explain('Its service account, from which the identity comes:');
  terminal.show(describeValue(createServiceAccount('builder')));

  const admission = await step(
    ({ patch, tookMs, tls }) =>
      `the webhook answers over ${tls} in ${tookMs.toFixed(0)} ms: ${patch.length} operations, all of them add`,
    async () => {
      const answer = await webhook.admit(NAMESPACE, pod);
      check(answer.allowed, `the webhook refused the pod: ${answer.message}`);
      check(answer.patch.length > 0, 'the webhook did not patch the pod');
      check(answer.warnings.length === 0, `the webhook warned: ${answer.warnings.join(' ')}`);
      const others = answer.patch.filter(({ op }) => op !== 'add');
      check(others.length === 0, `the patch does not only add: ${JSON.stringify(others)}`);
      return answer;
    },
    'the webhook answers',
  );
  terminal.show(describePatch(admission.patch));
  const { httpsProxy, extraCa } = SIDECAR_ENV;
  terminal.explain(
    `${httpsProxy} and ${extraCa} lead the sidecar to the emulators of this demo. Without the chart's sidecar.proxy and sidecar.extraCa, a pod has neither.`,
  );

  const patched = patchPod(pod, admission);
  await step('for the patched pod, the webhook answers with an empty patch', async () => {
    const { allowed, patch } = await webhook.admit(NAMESPACE, patched);
    check(allowed && patch.length === 0, `the second answer has a patch: ${JSON.stringify(patch)}`);
  });
  const refusal = await step("a pod that can't be injected is denied, with the reason and the fix", async () => {
    const answer = await webhook.admit(NAMESPACE, createManifestWithoutIdentity());
    check(!answer.allowed, 'a pod without an identity was admitted although it asks for injection');
    return answer.message;
  });
  terminal.explain(refusal);
  return patched;
}

/** A pod that asks for injection by an annotation; its service account names no identity. */
function createManifestWithoutIdentity(): Pod {
  const pod = createManifest('builder', { [ANNOTATION.inject]: 'enabled' });
  return {
    metadata: { ...pod.metadata, name: 'stranger-1' },
    spec: { ...pod.spec, serviceAccountName: 'stranger' },
  };
}

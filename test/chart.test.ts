/** The chart, rendered by the real helm: the objects that a cluster would get, and the values that are refused. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import t from 'tap';
import { parse } from 'yaml';
import { createAuthority, issueCertificate } from '../src/certificates/authority.js';
import {
  DEFAULT_AUTHORITY_HOST,
  DEFAULT_HEALTH_PORT,
  DEFAULT_LISTEN_PORT,
  DEFAULT_RUN_AS_USER,
  DEFAULT_SIDECAR_PORT,
  SIDECAR_NODE_FLAGS,
} from '../src/defaults.js';
import { listenWithTls } from '../src/emulators/index.js';
import {
  IMAGE,
  INJECT,
  INJECTED_LABEL,
  MIRROR_ANNOTATION,
  SIDECAR_CONTAINER,
  SIDECAR_PORT_NAME,
  SYSTEM_NAMESPACES,
  USE_LABEL,
  WEBHOOK_ENTRY,
  WEBHOOK_ENV,
  WEBHOOK_NAME,
} from '../src/names.js';
import { epochMs } from '../src/time.js';
import { createMetrics } from '../src/webhook/metrics.js';
import {
  at,
  CHART,
  find,
  helm,
  isHook,
  type KubernetesObject,
  NAMESPACE,
  options,
  render,
  template,
} from './support/chart.js';

const NAME = WEBHOOK_NAME;
/** For the test only: it is deleted afterwards. */
const TEST_NAMESPACE = `ado-git-identity-test-${createHash('sha256').update(NAMESPACE).digest('hex').slice(0, 8)}`;
const TENANT = '11111111-2222-3333-4444-555555555555';

const POD = 'spec.template.spec';

/** The webhook's environment, without variables that come from fields of the pod. */
function readEnvironment(objects: readonly KubernetesObject[]): Record<string, string> {
  const entries = at(find(objects, 'Deployment'), `${POD}.containers.0.env`) as {
    name: string;
    value?: string;
  }[];
  return Object.fromEntries(entries.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
}

void t.test('helm lint finds nothing', options, (t) => {
  const { status, stdout, stderr } = helm('lint', '--strict', CHART);
  t.equal(status, 0, stdout + stderr);
  t.end();
});

void t.test('defaults', options, (t) => {
  const objects = render();
  const own = objects.filter((object) => !isHook(object));

  void t.test('these objects and no others', (t) => {
    t.same(own.map((object) => `${object.kind} ${object.metadata.name}`).sort(), [
      `ClusterRole ${NAME}`,
      `ClusterRoleBinding ${NAME}`,
      `Deployment ${NAME}`,
      `MutatingWebhookConfiguration ${NAME}`,
      `PodDisruptionBudget ${NAME}`,
      `Role ${NAME}`,
      `RoleBinding ${NAME}`,
      `Service ${NAME}`,
      `ServiceAccount ${NAME}`,
    ]);
    t.end();
  });

  void t.test('the webhook configuration', (t) => {
    const configuration = find(objects, 'MutatingWebhookConfiguration');
    const enforcer = { 'admissions.enforcer/disabled': 'true' };
    t.match(configuration.metadata, { labels: enforcer, annotations: enforcer });
    t.strictSame(at(configuration, 'webhooks'), [
      {
        name: WEBHOOK_ENTRY,
        admissionReviewVersions: ['v1'],
        clientConfig: { service: { name: NAME, namespace: NAMESPACE, path: '/mutate', port: 443 } },
        rules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' },
        ],
        failurePolicy: 'Fail',
        matchPolicy: 'Equivalent',
        reinvocationPolicy: 'IfNeeded',
        sideEffects: 'NoneOnDryRun',
        timeoutSeconds: 5,
        objectSelector: { matchLabels: { [USE_LABEL]: 'true' } },
        namespaceSelector: {
          matchLabels: { [INJECT]: 'enabled' },
          matchExpressions: [
            { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [...SYSTEM_NAMESPACES, NAMESPACE] },
          ],
        },
        matchConditions: [
          {
            name: 'not-disabled',
            expression: `!has(object.metadata.annotations) || !('${INJECT}' in object.metadata.annotations) || object.metadata.annotations['${INJECT}'] != 'disabled'`,
          },
          {
            name: 'not-a-mirror-pod',
            expression: `!has(object.metadata.annotations) || !('${MIRROR_ANNOTATION}' in object.metadata.annotations)`,
          },
        ],
      },
    ]);
    t.end();
  });

  void t.test('roles, by name where there is one', (t) => {
    const byName = { resourceNames: [NAME] };
    t.strictSame(at(find(objects, 'ClusterRole'), 'rules'), [
      { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['list', 'watch', 'get'] },
      { apiGroups: [''], resources: ['events'], verbs: ['create'] },
      {
        apiGroups: ['admissionregistration.k8s.io'],
        resources: ['mutatingwebhookconfigurations'],
        ...byName,
        verbs: ['get', 'patch'],
      },
    ]);
    t.strictSame(at(find(objects, 'Role'), 'rules'), [
      { apiGroups: [''], resources: ['secrets'], ...byName, verbs: ['get', 'patch', 'update', 'create'] },
    ]);
    for (const kind of ['ClusterRoleBinding', 'RoleBinding']) {
      t.strictSame(at(find(objects, kind), 'subjects'), [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }]);
    }
    t.end();
  });

  void t.test('the deployment', (t) => {
    const deployment = find(objects, 'Deployment');
    const selector = at(deployment, 'spec.selector') as { readonly matchLabels: object };
    t.match(at(deployment, 'spec'), { replicas: 2, strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } });
    t.match(at(deployment, 'spec.template.metadata.labels'), selector.matchLabels);
    t.strictSame(at(find(objects, 'Service'), 'spec.selector'), selector.matchLabels);
    t.match(at(find(objects, 'PodDisruptionBudget'), 'spec'), { maxUnavailable: 1, selector });
    t.equal(at(find(objects, 'ServiceAccount'), 'automountServiceAccountToken'), false);
    const pod = at(deployment, POD);
    t.strictSame(at(pod, 'securityContext'), {
      runAsNonRoot: true,
      runAsUser: DEFAULT_RUN_AS_USER,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    t.match(pod, {
      automountServiceAccountToken: true,
      volumes: undefined,
      topologySpreadConstraints: [{ topologyKey: 'kubernetes.io/hostname', labelSelector: selector }],
      containers: [
        {
          command: [IMAGE.node, '--max-semi-space-size=4', '--max-old-space-size=64', '/app/webhook.cjs'],
          livenessProbe: { httpGet: { path: '/healthz' } },
          readinessProbe: { httpGet: { path: '/readyz' } },
        },
      ],
    });
    const drain = Number(readEnvironment(objects)[WEBHOOK_ENV.drainSeconds]);
    t.ok(Number(at(pod, 'terminationGracePeriodSeconds')) >= drain + 15);
    t.strictSame(at(pod, 'containers.0.securityContext'), {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    t.end();
  });

  void t.test('the environment repeats the defaults of the program', (t) => {
    const environment = readEnvironment(objects);
    t.match(environment, {
      MALLOC_ARENA_MAX: '1',
      MALLOC_MMAP_THRESHOLD_: '65536',
      [WEBHOOK_ENV.listenPort]: String(DEFAULT_LISTEN_PORT),
      [WEBHOOK_ENV.healthPort]: String(DEFAULT_HEALTH_PORT),
      [WEBHOOK_ENV.authorityHost]: DEFAULT_AUTHORITY_HOST,
      [WEBHOOK_ENV.sidecarPort]: String(DEFAULT_SIDECAR_PORT),
      [WEBHOOK_ENV.sidecarRunAsUser]: String(DEFAULT_RUN_AS_USER),
      [WEBHOOK_ENV.sidecarNodeFlags]: SIDECAR_NODE_FLAGS.join(' '),
      [WEBHOOK_ENV.namespace]: NAMESPACE,
      [WEBHOOK_ENV.tlsMode]: 'managed',
    });
    t.notOk(WEBHOOK_ENV.tenantId in environment);
    t.strictSame(JSON.parse(environment[WEBHOOK_ENV.sidecarResources] ?? ''), {
      requests: { cpu: '10m', memory: '32Mi' },
      limits: { cpu: '500m', memory: '64Mi' },
    });
    t.end();
  });
  t.end();
});

void t.test('every variable is one that the webhook reads', options, (t) => {
  const known = new Set<string>(Object.values(WEBHOOK_ENV));
  const everything = [
    `azure.tenantId=${TENANT}`,
    `azure.clientId=${TENANT}`,
    'sidecar.proxy.httpsProxy=http://proxy:3128',
    'sidecar.proxy.noProxy=10.0.0.0/8\\,.local',
    'sidecar.extraCa.pem=-----BEGIN CERTIFICATE-----',
    'sidecar.extraCa.configMapName=ca',
    'sidecar.pullSecrets={one,two}',
    'webhook.clientCa.configMapName=ca',
    'webhook.clientCa.commonNames={one,two}',
  ];
  const emptied = readEnvironment(render('azure.tenantId=null', 'webhook.logLevel=null', 'sidecar.resources=null'));
  t.notOk(WEBHOOK_ENV.tenantId in emptied || WEBHOOK_ENV.logLevel in emptied, 'null means unset');
  t.equal(emptied[WEBHOOK_ENV.sidecarResources], '{}');
  for (const mode of [
    [],
    ['tls.mode=provided', 'tls.provided.secretName=x', 'tls.provided.caBundle=-----BEGIN CERTIFICATE-----'],
  ]) {
    const environment = readEnvironment(render(...everything, ...mode));
    const names = Object.keys(environment).filter((name) => name.startsWith('ADO_GIT_'));
    t.strictSame(
      names.filter((name) => !known.has(name)),
      [],
    );
    t.equal(environment[WEBHOOK_ENV.sidecarNoProxy], '10.0.0.0/8,.local');
    t.equal(environment[WEBHOOK_ENV.sidecarPullSecrets], 'one,two');
    t.equal(environment[WEBHOOK_ENV.clientCommonNames], 'one,two');
  }
  t.end();
});

void t.test('where the values go', options, (t) => {
  const webhookOf = (...values: string[]): unknown =>
    at(find(render(...values), 'MutatingWebhookConfiguration'), 'webhooks.0');
  const podOf = (...values: string[]): unknown => at(find(render(...values), 'Deployment'), POD);
  const environmentOf = (...values: string[]): Record<string, string> => readEnvironment(render(...values));
  const digest = `sha256:${'a'.repeat(64)}`;

  const replaced = webhookOf(
    'webhook.namespaceSelector.matchLabels.team=git',
    'webhook.excludedNamespaces={infra}',
    'webhook.failurePolicy=Ignore',
    'webhook.timeoutSeconds=9',
  );
  t.match(replaced, { failurePolicy: 'Ignore', timeoutSeconds: 9 });
  t.strictSame(at(replaced, 'namespaceSelector.matchLabels'), { team: 'git' });
  t.strictSame(at(replaced, 'namespaceSelector.matchExpressions.0.values'), [...SYSTEM_NAMESPACES, NAMESPACE, 'infra']);
  const all = at(webhookOf('webhook.allNamespaces=true'), 'namespaceSelector');
  t.strictSame(Object.keys(all as object), ['matchExpressions']);

  t.match(
    podOf('image.repository=r/i', `image.digest=${digest}`, 'image.pullSecrets={reg}', 'webhook.priorityClassName=p'),
    {
      priorityClassName: 'p',
      imagePullSecrets: [{ name: 'reg' }],
      containers: [{ image: `r/i@${digest}` }],
    },
  );
  t.strictSame(at(podOf('webhook.runAsUser=null'), 'securityContext'), {
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  });

  t.match(environmentOf('image.repository=r/i', 'image.tag=v1', 'sidecar.runAsUser=null'), {
    [WEBHOOK_ENV.sidecarImage]: 'r/i:v1',
    [WEBHOOK_ENV.sidecarRunAsUser]: 'none',
  });
  t.match(
    environmentOf(`image.digest=${digest}`, 'sidecar.image.tag=v2', 'image.repository=r/i', 'sidecar.runAsUser=0'),
    {
      [WEBHOOK_ENV.sidecarImage]: 'r/i:v2',
      [WEBHOOK_ENV.sidecarRunAsUser]: '0',
    },
  );
  t.end();
});

void t.test('the authority of the client certificate is mounted where the webhook reads it', options, (t) => {
  const pem = '-----BEGIN CERTIFICATE-----\nx';
  const provided = ['tls.mode=provided', 'tls.provided.secretName=mine', `tls.provided.caBundle=${pem}`];
  for (const mode of [[], provided]) {
    for (const [value, name] of [
      [`webhook.clientCa.pem=${pem}`, `${NAME}-client-ca`],
      ['webhook.clientCa.configMapName=mine', 'mine'],
    ] as const) {
      const objects = render(...mode, value);
      const pod = at(find(objects, 'Deployment'), POD) as { volumes: { name: string }[] };
      const mounts = at(pod, 'containers.0.volumeMounts') as { name: string; mountPath: string; readOnly: boolean }[];
      const mount = mounts.find((one) => one.name === 'client-ca');
      t.strictSame(
        pod.volumes.find((one) => one.name === 'client-ca'),
        { name: 'client-ca', configMap: { name } },
      );
      t.equal(mounts.length, pod.volumes.length, value);
      t.equal(readEnvironment(objects)[WEBHOOK_ENV.clientCaFile], `${mount?.mountPath}/ca.crt`);
      if (name !== 'mine') t.equal(at(find(objects, 'ConfigMap', name), 'data')?.['ca.crt' as never], pem);
    }
  }
  t.notOk(WEBHOOK_ENV.clientCaFile in readEnvironment(render()), 'none is required by default');
  t.end();
});

void t.test('tls modes', options, (t) => {
  const pem = '-----BEGIN CERTIFICATE-----';
  const provided = render('tls.mode=provided', 'tls.provided.secretName=mine', `tls.provided.caBundle=${pem}`);
  const bundle = at(find(provided, 'MutatingWebhookConfiguration'), 'webhooks.0.clientConfig.caBundle');
  t.equal(Buffer.from(String(bundle), 'base64').toString(), pem);
  t.equal(at(find(provided, 'Deployment'), `${POD}.volumes.0.secret.secretName`), 'mine');

  const certManager = render('tls.mode=cert-manager', 'tls.certManager.issuerRef.name=ca');
  t.match(at(find(certManager, 'Certificate'), 'spec'), {
    secretName: NAME,
    dnsNames: [`${NAME}.${NAMESPACE}.svc`, `${NAME}.${NAMESPACE}.svc.cluster.local`],
    issuerRef: { name: 'ca', kind: 'Issuer', group: 'cert-manager.io' },
  });
  const configuration = find(certManager, 'MutatingWebhookConfiguration');
  t.equal(configuration.metadata.annotations?.['cert-manager.io/inject-ca-from'], `${NAMESPACE}/${NAME}`);
  t.equal(at(find(certManager, 'Deployment'), `${POD}.volumes.0.secret.secretName`), NAME);
  render(
    'tls.mode=cert-manager',
    'tls.certManager.issuerRef.name=ca',
    'webhook.allNamespaces=true',
    'webhook.excludedNamespaces={cert-manager}',
  );

  for (const objects of [provided, certManager]) {
    t.strictSame(at(find(objects, 'ClusterRole'), 'rules.2.verbs'), ['get'], 'only get: the webhook patches nothing');
    t.notOk(objects.some(({ kind, metadata }) => kind === 'Role' && metadata.name === NAME));
    t.match(readEnvironment(objects), {
      [WEBHOOK_ENV.tlsMode]: 'files',
      [WEBHOOK_ENV.tlsCertFile]: '/etc/ado-git-tls/tls.crt',
      [WEBHOOK_ENV.tlsKeyFile]: '/etc/ado-git-tls/tls.key',
    });
  }
  for (const objects of [render(), provided, certManager]) {
    t.notOk(
      objects.some(({ kind }) => kind === 'Secret'),
      'no Secret is ever rendered',
    );
  }
  t.equal(at(configuration, 'webhooks.0.clientConfig.caBundle'), undefined);
  t.end();
});

void t.test('monitoring and network policy', options, (t) => {
  const objects = render(
    'metrics.serviceMonitor.enabled=true',
    'metrics.serviceMonitor.labels.release=prometheus',
    'metrics.podMonitor.enabled=true',
    'metrics.podMonitor.interval=2m',
    'metrics.podMonitor.labels.release=prometheus',
    'metrics.prometheusRule.enabled=true',
    'metrics.dashboard.enabled=true',
    'networkPolicy.enabled=true',
  );
  const service = find(objects, 'Service', `${NAME}-metrics`);
  const monitor = find(objects, 'ServiceMonitor');
  t.match(at(service, 'metadata.labels'), at(monitor, 'spec.selector.matchLabels'));
  t.equal(at(monitor, 'metadata.labels.release'), 'prometheus');
  t.equal(at(monitor, 'spec.endpoints.0.port'), at(service, 'spec.ports.0.name'));
  t.match(find(objects, 'PodMonitor', 'ado-git-identity-sidecar'), {
    metadata: { labels: { release: 'prometheus' } },
    spec: {
      namespaceSelector: { any: true },
      selector: { matchLabels: { [INJECTED_LABEL]: 'true' } },
      podMetricsEndpoints: [{ port: SIDECAR_PORT_NAME, path: '/metrics', interval: '2m' }],
    },
  });
  const rules = at(find(objects, 'PrometheusRule'), 'spec.groups.0.rules') as { alert: string; expr: string }[];
  const expressions = Object.fromEntries(rules.map(({ alert, expr }) => [alert, expr.replace(/\s+/g, ' ')]));
  t.equal(
    expressions['AdoGitIdentityNoReplicaReady'],
    'sum(ado_git_identity_ready) < 1 or absent(ado_git_identity_ready)',
  );
  // Within seven days, and only in the last fifth of the certificate's life, which may be short; for each replica.
  const [notAfter, notBefore] = ['not_after', 'not_before'].map(
    (edge) => `ado_git_identity_certificate_${edge}_timestamp_seconds`,
  );
  t.equal(
    expressions['AdoGitIdentityCertificateExpires'],
    `min( ${notAfter} - time() < 7 * 24 * 3600 and ${notAfter} - time() < (${notAfter} - ${notBefore}) / 5 )`,
  );
  const dashboard = at(find(objects, 'ConfigMap', `${NAME}-dashboard`), 'data') as Record<string, string>;
  t.match(JSON.parse(dashboard['ado-git-identity.json'] ?? ''), { title: 'ado-git-identity' });
  t.match(at(find(objects, 'NetworkPolicy'), 'spec'), { policyTypes: ['Ingress', 'Egress'] });

  const metrics = createMetrics({
    now: () => epochMs(Date.now()),
    countServiceAccounts: () => 0,
    countInFlight: () => 0,
    isReady: () => true,
  });
  metrics.observeManagedCertificates();
  const exported = new Set(metrics.registry.getMetricsAsArray().map(({ name }) => name));
  const used: readonly string[] = JSON.stringify([rules, dashboard]).match(/ado_git_identity_[a-z_]+/g) ?? [];
  t.ok(used.includes('ado_git_identity_ready'), 'the series are found in alerts and dashboard');
  t.strictSame(
    used.filter((name) => !exported.has(name.replace(/_bucket$/, ''))),
    [],
    'alerts and dashboard name series that the webhook exports',
  );
  t.end();
});

void t.test('helm test uses a namespace that is served, and deletes everything it made', options, (t) => {
  const hooks = render('webhook.namespaceSelector.matchLabels.team=git').filter(isHook);
  t.match(find(hooks, 'Namespace', TEST_NAMESPACE).metadata, { labels: { team: 'git' } });
  t.match(find(render(), 'Namespace', TEST_NAMESPACE).metadata, { labels: { [INJECT]: 'enabled' } });
  const selector = {
    matchLabels: { team: 'git' },
    matchExpressions: [
      { key: 'tier', operator: 'Exists' },
      { key: 'tier', operator: 'In', values: ['one', 'two'] },
      { key: 'team', operator: 'Exists' },
      { key: 'served', operator: 'Exists' },
      { key: 'stage', operator: 'NotIn', values: ['test'] },
      { key: 'legacy', operator: 'DoesNotExist' },
    ],
  };
  const selected = render(`--set-json=webhook.namespaceSelector=${JSON.stringify(selector)}`);
  const labels = at(find(selected, 'Namespace', TEST_NAMESPACE), 'metadata.labels') as Record<string, string>;
  t.match(labels, { 'app.kubernetes.io/name': 'ado-git-identity', team: 'git', tier: 'one', served: 'true' });
  t.notOk(INJECT in labels || 'stage' in labels || 'legacy' in labels);
  for (const { metadata } of hooks) {
    t.equal(metadata.annotations?.['helm.sh/hook-delete-policy'], 'before-hook-creation,hook-succeeded,hook-failed');
  }
  t.equal(
    at(find(hooks, 'Pod', 'ado-git-identity-test'), 'spec.containers.0.command.3'),
    readFileSync(`${CHART}/files/test.mjs`, 'utf8'),
  );
  t.end();
});

void t.test('helm test creates a pod that strict clusters accept', async (t) => {
  const about = { commonName: 'API server', days: 1, now: epochMs(Date.now()) };
  const authority = await createAuthority(about);
  const certificate = await issueCertificate(authority, { ...about, dnsNames: [], ipAddresses: ['127.0.0.1'] });
  const injected = {
    metadata: { labels: { [INJECTED_LABEL]: 'true' } },
    spec: { initContainers: [{ name: SIDECAR_CONTAINER }] },
  };
  let body = '';
  const apiServer = await listenWithTls(certificate, (request, response) => {
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => response.writeHead(201).end(JSON.stringify(injected)));
  });
  t.teardown(apiServer.close);
  const account = t.testdir({ 'ca.crt': authority.certificatePem, token: 'token' });
  const script = readFileSync(`${CHART}/files/test.mjs`, 'utf8');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '-e', script.replace('/var/run/secrets/kubernetes.io/serviceaccount', account)],
    {
      env: {
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBERNETES_SERVICE_PORT: String(apiServer.port),
        TEST_NAMESPACE,
      },
    },
  );
  t.match(stdout, /the pod was injected/);
  // https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
  const pod: unknown = JSON.parse(body);
  t.match(at(pod, 'spec.securityContext'), { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  const quantities = { cpu: String, memory: String };
  t.match(at(pod, 'spec.containers'), [
    {
      resources: { requests: quantities, limits: quantities },
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    },
  ]);
});

void t.test('all pods of the chart are restricted, and only they get an API token', options, (t) => {
  const modes = [
    [],
    ['webhook.runAsUser=null'],
    ['tls.mode=cert-manager', 'tls.certManager.issuerRef.name=ca'],
    ['tls.mode=provided', 'tls.provided.secretName=x', 'tls.provided.caBundle=-----BEGIN CERTIFICATE-----'],
  ];
  for (const values of modes) {
    const objects = render(...values);
    const specs = objects.map((object) => at(object, object.kind === 'Pod' ? 'spec' : POD));
    const pods = specs.filter((spec) => spec !== undefined) as Record<string, unknown>[];
    t.equal(pods.length, 2, 'of the Deployment and of helm test');
    for (const pod of pods) {
      // https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
      t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace']) t.notOk(pod[field], field);
      for (const volume of (pod.volumes ?? []) as object[]) t.strictSame(Object.keys(volume), ['name', 'secret']);
      t.equal(pod.initContainers, undefined);
      for (const container of pod.containers as Record<string, unknown>[]) {
        t.strictSame(container['securityContext'], {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        t.ok(at(container, 'resources.limits.memory'));
      }
      // Both call the API server.
      t.equal(pod.automountServiceAccountToken, true);
    }
    const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount');
    t.equal(accounts.length, 3);
    for (const account of accounts) t.equal(at(account, 'automountServiceAccountToken'), false);
  }
  t.end();
});

void t.test('the notes', options, (t) => {
  // helm prints the notes only when there is a cluster.
  const chart = t.testdir();
  cpSync(CHART, chart, { recursive: true });
  cpSync(`${CHART}/templates/NOTES.txt`, `${chart}/notes`);
  writeFileSync(`${chart}/templates/notes.yaml`, 'notes: {{ tpl (.Files.Get "notes") . | toJson }}');
  const flags = ['--namespace', NAMESPACE, '--kube-version', '1.31.0', '--show-only', 'templates/notes.yaml'];
  const notesOf = (...values: string[]): string => {
    const set = values.flatMap((value) => ['--set', value]);
    const { stdout } = helm('template', 'a-release', chart, ...flags, ...set);
    return String(at(parse(stdout), 'notes'));
  };
  const upgrade = `helm upgrade a-release CHART --namespace ${NAMESPACE} --reuse-values --set`;
  const standard = notesOf('azure.tenantId=contoso.example');
  t.match(standard, /^ado-git-identity .* is installed/);
  t.match(standard, '  kubectl label namespace NAMESPACE ado-git.workload.identity/inject=enabled\n');
  const annotate = '  kubectl annotate serviceaccount -n NAMESPACE SERVICEACCOUNT azure.workload.identity';
  t.match(standard, `${annotate}/client-id=CLIENT_ID\n`);
  t.notMatch(standard, 'tenant');
  t.notMatch(standard, 'helm upgrade');
  t.match(standard, 'azure.workload.identity/use: "true"');
  for (const page of ['docs/identity.md', 'docs/symptoms.md']) t.match(standard, page);
  const withoutTenant = notesOf();
  t.match(withoutTenant, `${annotate}/tenant-id=TENANT_ID\n`);
  t.match(withoutTenant, `  ${upgrade} azure.tenantId=TENANT_ID\n`);
  t.match(notesOf('webhook.failurePolicy=Ignore'), `  ${upgrade} webhook.failurePolicy=Fail`);
  t.notMatch(notesOf('webhook.allNamespaces=true'), 'label namespace');
  t.notMatch(notesOf('webhook.namespaceSelector.matchLabels.team=shop'), 'label namespace');
  t.end();
});

/** Values that are refused, and what the refusal names. */
const refusedBySchema: readonly (readonly [value: string, named: string])[] = [
  ['tennant=x', "'tennant' not allowed"],
  ['azure.tenant=x', "'tenant' not allowed"],
  ['azure.tenantId=not a tenant', '/azure/tenantId'],
  ['azure.clientId=1111', '/azure/clientId'],
  ['azure.clientId=contoso.example', '/azure/clientId'],
  ['azure.authorityHost=http://login.microsoftonline.com', '/azure/authorityHost'],
  ['azure.authorityHost=https://login.microsoftonline.com/tenant', '/azure/authorityHost'],
  ['azure.authorityHost=https://login.microsoftonline.com:65536', '/azure/authorityHost'],
  ['image.repository=', '/image/repository'],
  ['image.digest=sha256:abc', '/image/digest'],
  ['image.pullPolicy=Sometimes', '/image/pullPolicy'],
  ['webhook.replicas=0', '/webhook/replicas'],
  ['webhook.failurePolicy=fail', '/webhook/failurePolicy'],
  ['webhook.timeoutSeconds=31', '/webhook/timeoutSeconds'],
  ['webhook.port=443', '/webhook/port'],
  ['webhook.port=65536', '/webhook/port'],
  ['webhook.allNamespaces=yes', '/webhook/allNamespaces'],
  ['webhook.excludedNamespaces={Infra}', '/webhook/excludedNamespaces/0'],
  ['webhook.namespaceSelector.team=git', '/webhook/namespaceSelector'],
  ['webhook.resources.limits.memory=much', '/webhook/resources/limits/memory'],
  ['webhook.nodeFlags={rm -rf}', '/webhook/nodeFlags/0'],
  ['tls.mode=self-signed', '/tls/mode'],
  ['tls.managed.leafDays=0', '/tls/managed/leafDays'],
  ['tls.provided.caBundle=LS0t', '/tls/provided/caBundle'],
  ['tls.certManager.issuerRef.name=an issuer', '/tls/certManager/issuerRef/name'],
  ['tls.certManager.issuerRef.name=a..b', '/tls/certManager/issuerRef/name'],
  ['tls.certManager.issuerRef.kind=issuer', '/tls/certManager/issuerRef/kind'],
  ['tls.certManager.issuerRef.group=Cert_Manager', '/tls/certManager/issuerRef/group'],
  ['tls.certManager.namespace=a.b', '/tls/certManager/namespace'],
  ['webhook.priorityClassName=High', '/webhook/priorityClassName'],
  ['image.pullSecrets={a_b}', '/image/pullSecrets/0'],
  ['webhook.podLabels.team=a b', '/webhook/podLabels/team'],
  [`webhook.nodeSelector.pool=${'a'.repeat(64)}`, '/webhook/nodeSelector/pool'],
  ['metrics.dashboard.labels.a!=1', "invalid propertyName 'a!'"],
  ['sidecar.port=80', '/sidecar/port'],
  ['sidecar.runAsUser=root', '/sidecar/runAsUser'],
  ['sidecar.proxy.httpsProxy=http://user:secret@proxy:3128', '/sidecar/proxy/httpsProxy'],
  ['sidecar.proxy.httpsProxy=http://user@proxy:3128', '/sidecar/proxy/httpsProxy'],
  ['sidecar.proxy.httpsProxy=proxy:3128', '/sidecar/proxy/httpsProxy'],
  ['sidecar.extraCa.pem=/etc/ssl/ca.pem', '/sidecar/extraCa/pem'],
  ['webhook.clientCa.pem=/etc/ssl/ca.pem', '/webhook/clientCa/pem'],
  ['webhook.clientCa.configMapName=No_Name', '/webhook/clientCa/configMapName'],
  ['webhook.clientCa.commonNames={a\\,b}', '/webhook/clientCa/commonNames/0'],
  ['webhook.clientCa.commonNames={é}', '/webhook/clientCa/commonNames/0'],
  ['sidecar.resources.limits.gpu=1', '/sidecar/resources/limits'],
  ['--set-json=sidecar.nodeFlags=[]', '/sidecar/nodeFlags'],
  ['metrics.serviceMonitor.interval=30', '/metrics/serviceMonitor/interval'],
  ['metrics.podMonitor.interval=30', '/metrics/podMonitor/interval'],
  ["metrics.prometheusRule.runbookUrl=a'b", '/metrics/prometheusRule/runbookUrl'],
  ['networkPolicy.apiServerPorts={0}', '/networkPolicy/apiServerPorts/0'],
];
/** Values that are valid each, and not together: the schema can't see that. */
const refusedByTemplate: readonly (readonly [value: string, named: string])[] = [
  [
    'webhook.clientCa.configMapName=ca,webhook.clientCa.pem=-----BEGIN CERTIFICATE-----',
    'webhook.clientCa.pem and webhook.clientCa.configMapName are both set',
  ],
  ['webhook.clientCa.commonNames={kube-apiserver}', 'webhook.clientCa.commonNames is set without an authority'],
  ['tls.mode=provided', 'tls.provided.'],
  ['tls.mode=cert-manager', 'tls.certManager.issuerRef.name'],
  ['webhook.healthPort=9443', 'webhook.healthPort'],
  ['tls.managed.caDays=30', 'tls.managed.caDays'],
  ['webhook.allNamespaces=true,webhook.namespaceSelector.matchLabels.a=b', 'webhook.namespaceSelector'],
  ['webhook.allNamespaces=true,tls.mode=cert-manager,tls.certManager.issuerRef.name=ca', 'excludedNamespaces'],
  [
    'sidecar.resources.requests.memory=128Mi',
    'sidecar.resources.requests.memory is 128Mi and sidecar.resources.limits.memory is 64Mi',
  ],
  ['sidecar.resources.limits.memory=32M', 'sidecar.resources.limits.memory to 32Mi or more'],
  ['sidecar.resources.limits.cpu=0', 'sidecar.resources.limits.cpu is 0'],
  ['sidecar.resources.requests.cpu=0.501', 'sidecar.resources.limits.cpu is 500m'],
  ['webhook.resources.requests.memory=1Gi', 'webhook.resources.limits.memory is 320Mi'],
  ['webhook.resources.limits.memory=65535Ki', 'webhook.resources.limits.memory to 64Mi or more'],
];

void t.test('refused values, each by name', options, (t) => {
  // helm names every mistake at once, so that wrong values of different keys share a run.
  const rounds: Map<string, readonly [value: string, named: string]>[] = [];
  for (const row of refusedBySchema) {
    const [key = ''] = row[0].split('=');
    let round = rounds.find((candidate) => !candidate.has(key));
    if (round === undefined) rounds.push((round = new Map<string, readonly [value: string, named: string]>()));
    round.set(key, row);
  }
  for (const round of rounds) {
    const { status, stderr } = template([...round.values()].map(([value]) => value));
    t.not(status, 0);
    for (const [value, named] of round.values()) t.ok(stderr.includes(named), `${value}: ${named}`, { stderr });
  }
  for (const [value, named] of refusedByTemplate) {
    const { status, stderr } = template([value]);
    t.not(status, 0, value);
    t.ok(stderr.includes(named), `${value}: ${named}`, { stderr });
  }
  t.end();
});

void t.test('accepted values', options, (t) => {
  const first = [
    'azure.tenantId=contoso.onmicrosoft.com',
    'webhook.resources.limits.cpu=1',
    'image.repository=localhost:5000/a/b',
  ];
  const second = [
    'azure.authorityHost=https://login.microsoftonline.us/',
    'webhook.resources.limits=null',
    'webhook.drainSeconds=0',
  ];
  const asMuchAsTheLimit = [
    'azure.authorityHost=https://login.microsoftonline.com:65535',
    'sidecar.resources.requests.cpu=0.5',
    'sidecar.resources.requests.memory=65536Ki',
    'webhook.resources.requests.memory=201326592',
    'webhook.resources.limits.cpu=0.05',
  ];
  for (const values of [first, second, asMuchAsTheLimit]) {
    const { status, stderr } = template(values);
    t.equal(status, 0, values.join(' '), { stderr });
  }
  t.end();
});

void t.test('Kubernetes 1.29 and later', options, (t) => {
  for (const version of ['1.29.0', '1.29.4-gke.1043002', '1.34.4']) t.equal(template([], version).status, 0, version);
  const { status, stderr } = template([], '1.28.15');
  t.not(status, 0);
  t.match(stderr, /chart requires kubeVersion: >=1\.29\.0-0/);
  t.end();
});

void t.test('the version is that of the program', options, (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  t.match(parse(readFileSync(`${CHART}/Chart.yaml`, 'utf8')), { version, appVersion: version });
  t.end();
});

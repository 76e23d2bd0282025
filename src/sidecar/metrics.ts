/** The sidecar's metrics in Prometheus' text format; no label names an identity. */
import type { EpochMs } from '../time.js';
import { VERSION } from '../version.js';
import type { Snapshot } from './message-for-git.js';
import type { TokenManager } from './token-manager.js';

/** What the metrics need to know of the token manager. */
export interface MetricsSource extends Pick<TokenManager, 'countExchanges' | 'isReady'> {
  describe(): Pick<Snapshot, 'expiresAt' | 'lastExchangeAt'>;
}

type Sample = readonly [labels: string, value: number];

/** Text exposition format 0.0.4. Times are seconds since 1970, 0 where there is none. */
export function formatMetrics(manager: MetricsSource): string {
  const { expiresAt, lastExchangeAt } = manager.describe();
  const { successes, failures } = manager.countExchanges();
  const exchanges: Sample[] = [
    ['{outcome="token",class=""}', successes],
    ...[...failures].map(([kind, count]): Sample => [`{outcome="failure",class="${kind}"}`, count]),
  ];
  return [
    formatMetric('exchanges_total', 'counter', 'Exchanges at Entra by outcome and class of failure.', exchanges),
    formatGauge('ready', 'Whether there is a valid token.', manager.isReady() ? 1 : 0),
    formatGauge('token_expiry_timestamp_seconds', 'When the token expires.', toSeconds(expiresAt)),
    formatGauge('last_success_timestamp_seconds', 'When Entra last issued a token.', toSeconds(lastExchangeAt)),
    formatMetric('build_info', 'gauge', 'Version of the program.', [[`{version="${VERSION}"}`, 1]]),
  ].join('');
}

function toSeconds(moment: EpochMs | undefined): number {
  return (moment ?? 0) / 1000;
}

function formatGauge(name: string, help: string, value: number): string {
  return formatMetric(name, 'gauge', help, [['', value]]);
}

function formatMetric(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  const full = `ado_git_sidecar_${name}`;
  const lines = samples.map(([labels, value]) => `${full}${labels} ${value}\n`).join('');
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines}`;
}

/** The Prometheus text of the sidecar; no label names an identity. */
import { VERSION } from '../version.js';
import type { TokenManager } from './token-manager.js';

type Sample = readonly [labels: string, value: number];

/** Text exposition format 0.0.4. Times are seconds since 1970, 0 where there is none. */
export function formatMetrics(keeper: TokenManager): string {
  const { expiresAt, lastExchangeAt } = keeper.describe();
  const { successes, failures } = keeper.counts;
  const exchanges: Sample[] = [
    ['{outcome="token",class=""}', successes],
    ...[...failures].map(([kind, count]): Sample => [`{outcome="failure",class="${kind}"}`, count]),
  ];
  return [
    format('exchanges_total', 'counter', 'Exchanges at Entra by outcome and class of failure.', exchanges),
    format('ready', 'gauge', 'Whether a valid token is there.', [['', keeper.isReady() ? 1 : 0]]),
    format('token_expiry_timestamp_seconds', 'gauge', 'When the token ends.', [['', (expiresAt ?? 0) / 1000]]),
    format('last_success_timestamp_seconds', 'gauge', 'When Entra last gave a token.', [
      ['', (lastExchangeAt ?? 0) / 1000],
    ]),
    format('build_info', 'gauge', 'Version of the program.', [[`{version="${VERSION}"}`, 1]]),
  ].join('');
}

function format(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  const full = `ado_git_sidecar_${name}`;
  const lines = samples.map(([labels, value]) => `${full}${labels} ${value}\n`).join('');
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines}`;
}

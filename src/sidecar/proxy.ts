/** Which servers are reached past the proxy: `NO_PROXY`, as curl and Go read it. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { stripBrackets } from '../values/urls.js';

/**
 * Whether `NO_PROXY` names the target: as `*`, `host`, `.suffix`, `*.suffix`, an address or a range of addresses, each
 * with or without `:port`.
 */
export function bypassesProxy(noProxy: string, target: URL): boolean {
  const host = stripBrackets(target.hostname).toLowerCase();
  const port = target.port === '' ? '443' : target.port;
  return noProxy.split(/[\s,]+/).some((entry) => entry !== '' && matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const withPort = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(entry);
  if (withPort !== null && withPort[2] !== port) return false;
  const name = stripBrackets(withPort?.[1] ?? entry);
  if (isIP(host) !== 0)
    return name.includes('/') ? isInRange(name, host) : isInRange(`${name}/${isIPv6(name) ? 128 : 32}`, host);
  const suffix = name.replace(/^\*?\./, '');
  return suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`));
}

function isInRange(range: string, host: string): boolean {
  const [network = '', bits = ''] = range.split('/');
  if (isIP(network) === 0 || isIP(network) !== isIP(host) || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (isIPv6(network) ? 128 : 32)) return false;
  const family = isIPv6(network) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family);
  return list.check(host, family);
}

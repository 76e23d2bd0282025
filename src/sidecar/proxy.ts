/** `HTTPS_PROXY` and `NO_PROXY`, as curl and Go read them. */
import { BlockList, isIP, isIPv6 } from 'node:net';

export interface Proxy {
  readonly host: string;
  readonly port: number;
}

/** A proxy such as `http://proxy.example:3128`, also without the scheme; `undefined` for what it can't be. */
export function parseProxy(value: string): Proxy | undefined {
  try {
    const url = new URL(value.includes('://') ? value : `http://${value}`);
    const plain =
      url.username === '' && url.password === '' && url.pathname === '/' && url.search === '' && url.hash === '';
    if (url.protocol !== 'http:' || !plain) return undefined;
    return { host: stripBrackets(url.hostname), port: url.port === '' ? 80 : Number(url.port) };
  } catch {
    return undefined;
  }
}

/** Whether `NO_PROXY` names the target: `*`, `host`, `.suffix`, `*.suffix`, an address or a range of them, each with or without `:port`. */
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

function stripBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

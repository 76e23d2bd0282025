/** What a page of the documentation promises: `readQuote` and `toPattern` for messages, `listCommands` for commands of kubectl. */

const QUOTE = /```text\n([\s\S]*?)\n *```/;

/** The lines that the page quotes for a cause, which is in bold there; without a quote of its own, those of its section. */
export function readQuote(page: string, cause: string): readonly string[] {
  const section = page.split('\n## ').find((one) => one.includes(`**${cause}`)) ?? '';
  const explanation = section.slice(section.indexOf(`**${cause}`)).split('**')[2] ?? '';
  const [, quote] = QUOTE.exec(explanation) ?? QUOTE.exec(section) ?? [];
  if (quote === undefined) throw new Error(`the page quotes nothing for "${cause}"`);
  return quote.split('\n').map((line) => line.trim());
}

/** Words in capitals stand for a value, and `…` for anything. */
export function toPattern(quote: string): RegExp {
  const escaped = quote.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
  const values = /\b(?:NS|POD|SERVICEACCOUNT|CLIENT_ID|TENANT_ID|ORGANIZATION|REPOSITORY|URL|VALUE)\b/g;
  return new RegExp(escaped.replaceAll(values, String.raw`\S+`).replaceAll('…', '.*'));
}

/** The commands of kubectl that can be run, with the values in place of the words in capitals. */
export function listCommands(page: string, values: Readonly<Record<string, string>>): readonly string[] {
  return (
    [...page.matchAll(/^ *(kubectl [^\n]+)$|`(kubectl [^`\n]+)`/gm)]
      .map(([, line, inline]) => line ?? inline ?? '')
      // The others are names of commands, in sentences.
      .filter((command) => /-n |NS|--raw/.test(command))
      .map((command) =>
        command.replace(/ +#.*/, '').replaceAll(/\b[A-Z]+(?:_[A-Z]+)*\b/g, (word) => values[word] ?? word),
      )
  );
}

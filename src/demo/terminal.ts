/** The demo's output: marks and colours on a terminal, plain lines elsewhere. */

/** Texts are wrapped at this column, whatever the terminal's width. */
const WIDTH_COLUMNS = 100;
/** A pending step is shorter than a terminal's line, so that it can be erased. */
const PENDING_COLUMNS = 76;

export interface Terminal {
  /** Title and introduction. */
  readonly open: (title: string, text: string) => void;
  readonly chapter: (title: string) => void;
  /** Shows a pending step on a terminal, until the step's result replaces it. */
  readonly begin: (step: string) => void;
  readonly pass: (step: string) => void;
  readonly skip: (step: string, reason: string) => void;
  readonly fail: (step: string, problem: string) => void;
  /** A paragraph about the last step; it is wrapped between words. */
  readonly explain: (text: string) => void;
  /** Lines that are not wrapped, such as a part of a document. */
  readonly show: (lines: readonly string[]) => void;
  /** The result of the demo. */
  readonly close: (passed: boolean, text: string) => void;
}

export interface TerminalOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Whether a terminal gets colours; not with `NO_COLOR` (no-color.org). */
  readonly colours: boolean;
}

/** ECMA-48 attributes: on and off. */
const STYLE = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;

export function createTerminal({ write, isTerminal, colours }: TerminalOptions): Terminal {
  const style = (name: keyof typeof STYLE, text: string): string =>
    isTerminal && colours ? `\u001b[${STYLE[name][0]}m${text}\u001b[${STYLE[name][1]}m` : text;
  const line = (text: string): void => write(`${text.trimEnd()}\n`);
  const erase = (): void => {
    if (isTerminal) write('\r\u001b[2K');
  };
  const mark = {
    pass: isTerminal ? style('green', '✓') : 'ok     ',
    skip: isTerminal ? style('yellow', '-') : 'skipped',
    fail: isTerminal ? style('red', '✗') : 'FAILED ',
  };
  const indent = isTerminal ? '    ' : '          ';
  const paragraph = (text: string, margin: string): void => {
    for (const part of wrap(text, WIDTH_COLUMNS - margin.length)) line(`${margin}${style('dim', part)}`);
  };
  const finish = (kind: keyof typeof mark, step: string): void => {
    erase();
    line(`  ${mark[kind]} ${step}`);
  };

  return {
    open: (title, text) => {
      line(style('bold', title));
      for (const part of wrap(text, WIDTH_COLUMNS)) line(part);
    },
    chapter: (title) => line(`\n${style('bold', title)}`),
    begin: (step) => {
      if (isTerminal) write(`  ${style('dim', `… ${step}`.slice(0, PENDING_COLUMNS))}`);
    },
    pass: (step) => finish('pass', step),
    skip: (step, reason) => {
      finish('skip', step);
      paragraph(reason, indent);
    },
    fail: (step, problem) => {
      finish('fail', step);
      for (const part of problem.split('\n')) line(`${indent}${style('red', part)}`);
    },
    explain: (text) => paragraph(text, indent),
    show: (lines) => {
      for (const text of lines) line(`${indent}${style('dim', text)}`);
    },
    close: (passed, text) => line(`\n${style(passed ? 'green' : 'red', text)}`),
  };
}

/** Wraps the text between words; a word that is longer than the width has a line of its own. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** What the demo says: step marks on a terminal, plain lines elsewhere. */

/** Columns that lines keep to; the terminal is not asked for its width. */
const WIDTH = 100;
/** A line that is erased must not have been broken by the terminal. */
const NARROW = 76;

export interface Terminal {
  /** The opening words. */
  readonly open: (title: string, text: string) => void;
  readonly chapter: (title: string) => void;
  /** What is being done now; on a terminal it stands until the step's mark replaces it. */
  readonly begin: (step: string) => void;
  /** The step has been done and checked. */
  readonly pass: (step: string) => void;
  readonly skip: (step: string, reason: string) => void;
  readonly fail: (step: string, problem: string) => void;
  /** More about the last step, a line each; long lines are broken between words. */
  readonly tell: (text: string) => void;
  /** Lines to be read as they are, such as a part of a document. */
  readonly show: (lines: readonly string[]) => void;
  /** The last words. */
  readonly close: (passed: boolean, text: string) => void;
}

export interface ScreenOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Whether the terminal may be given colours; `NO_COLOR` says no (no-color.org). */
  readonly colours: boolean;
}

/** ECMA-48 attributes: on and off. */
const STYLE = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;

export function createTerminal({ write, isTerminal, colours }: ScreenOptions): Terminal {
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
    for (const part of wrap(text, WIDTH - margin.length)) line(`${margin}${style('dim', part)}`);
  };
  const finish = (kind: keyof typeof mark, step: string): void => {
    erase();
    line(`  ${mark[kind]} ${step}`);
  };

  return {
    open: (title, text) => {
      line(style('bold', title));
      for (const part of wrap(text, WIDTH)) line(part);
    },
    chapter: (title) => line(`\n${style('bold', title)}`),
    begin: (step) => {
      if (isTerminal) write(`  ${style('dim', `… ${step}`.slice(0, NARROW))}`);
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
    tell: (text) => paragraph(text, indent),
    show: (lines) => {
      for (const text of lines) line(`${indent}${style('dim', text)}`);
    },
    close: (passed, text) => line(`\n${style(passed ? 'green' : 'red', text)}`),
  };
}

/** Breaks the text between words; a word that is longer than the width stands alone. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

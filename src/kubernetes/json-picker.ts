/**
 * Picks the wanted parts out of a JSON text while its bytes arrive, so that memory depends on what is wanted and not on what
 * others have written into an object. PURE.
 */

/** What is wanted of one object or array. */
export interface Selection {
  /**
   * What is wanted of the member with this name; for an element of an array, the name is empty. `scalar`: a string, number,
   * boolean or null. A scalar is taken under a selection too.
   */
  readonly choose: (name: string) => Selection | 'scalar' | undefined;
  /** Replaces the object or array once it is whole; `undefined` leaves it out. */
  readonly finish?: (value: unknown) => unknown;
}

/** Wants these members. */
export function selectMembers(members: Readonly<Record<string, Selection | 'scalar'>>): Selection {
  return { choose: (name) => (Object.hasOwn(members, name) ? members[name] : undefined) };
}

export interface PickerOptions {
  readonly selection: Selection;
  /** Of a wanted string as it is written, escapes included. */
  readonly maxStringBytes: number;
  /** Stands for a wanted string that is longer. */
  readonly overlong: string;
}

/** An open object or array of which something is wanted. */
interface Level {
  readonly selection: Selection;
  readonly value: Record<string, unknown> | unknown[];
  /** Of the value that comes next; undefined in an object before the name. */
  name: string | undefined;
  wanted: Selection | 'scalar' | undefined;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

/** No wanted name is longer: Kubernetes allows 317 characters in the name of an annotation. */
const MAX_NAME_BYTES = 512;
/** No number is longer. */
const MAX_SCALAR_BYTES = 32;

/**
 * Its result is that of `JSON.parse`, without what is not wanted. It does not check what it skips, and expects each name once in
 * an object: the text must come from a program that writes JSON, though what it holds may come from anyone. Its work is linear in
 * the bytes.
 */
export class JsonPicker {
  readonly #options: PickerOptions;
  readonly #levels: Level[] = [];
  /** Open objects and arrays below the last level: nothing is wanted of them. */
  #skipped = 0;
  #root: unknown;
  #isBroken = false;
  #inString = false;
  #isEscaped = false;
  /** The wanted string or other scalar so far; undefined where it is not wanted. */
  #text: TextCollector | undefined;

  constructor(options: PickerOptions) {
    this.#options = options;
  }

  write(bytes: Buffer): void {
    let index = 0;
    while (index < bytes.length) {
      index = this.#inString ? this.#readString(bytes, index) : this.#readOutside(bytes, index);
    }
  }

  /** The value, and a new start. `undefined` where the text was no whole object or array. */
  end(): unknown {
    const isWhole = this.#levels.length === 0 && !this.#inString && !this.#isBroken;
    const value = isWhole ? this.#root : undefined;
    this.#levels.length = 0;
    this.#skipped = 0;
    this.#root = undefined;
    this.#isBroken = false;
    this.#inString = false;
    this.#isEscaped = false;
    this.#text = undefined;
    return value;
  }

  /** Reads to the end of the string, or of the bytes. */
  #readString(bytes: Buffer, start: number): number {
    let index = start;
    let isEscaped = this.#isEscaped;
    for (; index < bytes.length; index += 1) {
      const byte = bytes[index];
      if (isEscaped) isEscaped = false;
      else if (byte === BACKSLASH) isEscaped = true;
      else if (byte === QUOTE) break;
    }
    this.#isEscaped = isEscaped;
    this.#text?.add(bytes, start, index);
    if (index === bytes.length) return index;
    this.#inString = false;
    this.#endString();
    return index + 1;
  }

  #endString(): void {
    const collected = this.#text;
    this.#text = undefined;
    const level = this.#levels.at(-1);
    if (collected === undefined || level === undefined) return;
    const text = collected.readString();
    if (level.name !== undefined) this.#setValue(level, text ?? this.#options.overlong);
    else {
      level.name = text ?? '';
      level.wanted = text === undefined ? undefined : level.selection.choose(text);
    }
  }

  #readOutside(bytes: Buffer, index: number): number {
    const byte = bytes[index] ?? SPACE;
    switch (byte) {
      case QUOTE:
        this.#startString();
        break;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        this.#open(byte === OPEN_ARRAY);
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        this.#close();
        break;
      case COMMA:
        this.#endScalar();
        this.#startMember();
        break;
      case COLON:
        break;
      default:
        if (byte > SPACE) this.#addToScalar(bytes, index);
    }
    return index + 1;
  }

  #startString(): void {
    this.#inString = true;
    const level = this.#levels.at(-1);
    if (level === undefined || this.#skipped > 0) return;
    if (level.name === undefined) this.#text = new TextCollector(MAX_NAME_BYTES);
    else if (level.wanted !== undefined) this.#text = new TextCollector(this.#options.maxStringBytes);
  }

  /** A digit, a sign, or a letter of `true`, `false` or `null`. */
  #addToScalar(bytes: Buffer, index: number): void {
    const level = this.#levels.at(-1);
    if (level === undefined) this.#isBroken = true;
    if (level?.wanted === undefined || this.#skipped > 0) return;
    this.#text ??= new TextCollector(MAX_SCALAR_BYTES);
    this.#text.add(bytes, index, index + 1);
  }

  #endScalar(): void {
    const level = this.#levels.at(-1);
    if (this.#text === undefined || level === undefined) return;
    this.#setValue(level, this.#text.readScalar());
    this.#text = undefined;
  }

  /** After a comma. */
  #startMember(): void {
    const level = this.#levels.at(-1);
    if (level === undefined || this.#skipped > 0 || Array.isArray(level.value)) return;
    level.name = undefined;
    level.wanted = undefined;
  }

  #open(isArray: boolean): void {
    const level = this.#levels.at(-1);
    const wanted = level === undefined ? this.#options.selection : level.wanted;
    if (this.#skipped > 0 || wanted === undefined || wanted === 'scalar') {
      this.#skipped += 1;
      return;
    }
    if (level === undefined && this.#root !== undefined) this.#isBroken = true;
    const name = isArray ? '' : undefined;
    this.#levels.push({
      selection: wanted,
      value: isArray ? [] : {},
      name,
      wanted: isArray ? wanted.choose('') : undefined,
    });
  }

  #close(): void {
    if (this.#skipped > 0) {
      this.#skipped -= 1;
      return;
    }
    this.#endScalar();
    const closed = this.#levels.pop();
    if (closed === undefined) {
      this.#isBroken = true;
      return;
    }
    const { finish } = closed.selection;
    const value = finish === undefined ? closed.value : finish(closed.value);
    const parent = this.#levels.at(-1);
    if (parent === undefined) this.#root = value;
    else if (value !== undefined) this.#setValue(parent, value);
  }

  #setValue({ value: container, name = '' }: Level, value: unknown): void {
    if (Array.isArray(container)) container.push(value);
    else container[name] = value;
  }
}

/** The bytes of one string or other scalar, which may come in several chunks. */
class TextCollector {
  readonly #limit: number;
  #bytes = 0;
  #chunks: Buffer[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Copies the bytes: a part of a chunk would keep the whole chunk in memory. */
  add(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes > this.#limit) this.#chunks = [];
    else if (end > start) this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
  }

  /** @returns undefined where it is over the limit, or not as JSON writes strings. */
  readString(): string | undefined {
    const text = this.#read();
    if (text?.includes('\\') !== true) return text;
    const value = parseScalar(`"${text}"`);
    return typeof value === 'string' ? value : undefined;
  }

  /** @returns undefined where it is none. */
  readScalar(): unknown {
    return parseScalar(this.#read() ?? '');
  }

  #read(): string | undefined {
    if (this.#bytes > this.#limit) return undefined;
    const [first] = this.#chunks;
    if (first === undefined) return '';
    return (this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks)).toString('utf8');
  }
}

function parseScalar(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Parser for the JSON text in which config and summary travel: JSON plus the bare tokens `NaN`, `Infinity` and
 * `-Infinity` (Python's encoder writes them).
 *
 * Objects become Maps, so that keys such as `__proto__` are data; integers that a double cannot hold become bigint.
 * Nesting is limited, so hostile text cannot exhaust the stack.
 */

export type ExtendedJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly ExtendedJson[]
  | ReadonlyMap<string, ExtendedJson>;

export type ExtendedObject = ReadonlyMap<string, ExtendedJson>;

export class ExtendedJsonError extends Error {
  override readonly name = "ExtendedJsonError";
}

const MAX_DEPTH = 256;
const WHITESPACE = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:Infinity|(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)/y;
const LITERALS: readonly (readonly [string, ExtendedJson])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
];

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): ExtendedJson {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail("unexpected text after the value");
    return value;
  }

  #value(depth: number): ExtendedJson {
    if (depth > MAX_DEPTH) this.#fail("nested too deeply");
    this.#space();
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(depth);
    if (first === "[") return this.#list(depth);
    if (first === '"') return this.#string();
    for (const [token, value] of LITERALS) {
      if (this.#text.startsWith(token, this.#at)) {
        this.#at += token.length;
        return value;
      }
    }
    return this.#number();
  }

  #object(depth: number): ExtendedObject {
    const members = new Map<string, ExtendedJson>();
    this.#at += 1;
    if (this.#take("}")) return members;
    do {
      this.#space();
      const key = this.#string();
      if (!this.#take(":")) this.#fail("expected `:`");
      members.set(key, this.#value(depth + 1));
    } while (this.#take(","));
    if (!this.#take("}")) this.#fail("expected `,` or `}`");
    return members;
  }

  #list(depth: number): ExtendedJson[] {
    const items: ExtendedJson[] = [];
    this.#at += 1;
    if (this.#take("]")) return items;
    do items.push(this.#value(depth + 1));
    while (this.#take(","));
    if (!this.#take("]")) this.#fail("expected `,` or `]`");
    return items;
  }

  #string(): string {
    const token = this.#match(STRING)?.[0];
    if (token === undefined) return this.#fail("expected a string");
    const text: unknown = JSON.parse(token);
    return typeof text === "string" ? text : this.#fail("expected a string");
  }

  #number(): number | bigint {
    const match = this.#match(NUMBER);
    if (match === null) return this.#fail("expected a value");
    const token = match[0];
    const number = Number(token);
    const isInteger = match[1] === undefined && match[2] === undefined && Number.isFinite(number);
    return isInteger && !Number.isSafeInteger(number) ? BigInt(token) : number;
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #space(): void {
    this.#match(WHITESPACE);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }

  #fail(what: string): never {
    throw new ExtendedJsonError(`${what} at position ${this.#at}`);
  }
}

/** Parses one extended-JSON document. Throws {@link ExtendedJsonError} with the position of the fault. */
export function parseExtendedJson(text: string): ExtendedJson {
  return new Parser(text).document();
}

/** The object in `text`; empty for null, blank text and anything that is not an object. */
export function parseExtendedObject(text: string | null): ExtendedObject {
  if (text === null || text.trim() === "") return new Map();
  const value = parseExtendedJson(text);
  return isExtendedObject(value) ? value : new Map();
}

export function isExtendedObject(value: ExtendedJson | undefined): value is ExtendedObject {
  return value instanceof Map;
}

/** Config without its `{"value": v}` wrappers and without the `_wandb` block. */
export function unwrapConfig(config: ExtendedObject): ExtendedObject {
  const plain = new Map<string, ExtendedJson>();
  for (const [key, entry] of config) {
    if (key === "_wandb") continue;
    const value = isExtendedObject(entry) && entry.has("value") ? entry.get("value") : entry;
    plain.set(key, value ?? null);
  }
  return plain;
}

/** One line of text for a value, as it would stand in the original JSON. */
export function showExtendedJson(value: ExtendedJson): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return `[${value.map(quoted).join(", ")}]`;
  if (isExtendedObject(value)) {
    return `{${[...value].map(([key, item]) => `${JSON.stringify(key)}: ${quoted(item)}`).join(", ")}}`;
  }
  return String(value);
}

function quoted(value: ExtendedJson): string {
  return typeof value === "string" ? JSON.stringify(value) : showExtendedJson(value);
}

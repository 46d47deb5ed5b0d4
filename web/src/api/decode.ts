/**
 * Reading untyped JSON into typed values without casts.
 *
 * Every answer of the server passes through a {@link Fields} reader, so that a field that has the wrong type
 * fails at the boundary, with its path, and not somewhere in a component.
 */

/** Raised when an answer does not have the shape that this app was built for. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads the members of one JSON object; `null` and a missing member are the same. */
export class Fields {
  readonly #record: Record<string, unknown>;
  readonly #at: string;

  constructor(value: unknown, at: string) {
    if (!isRecord(value)) throw new DecodeError(`unexpected answer: \`${at}\` is not an object`);
    this.#record = value;
    this.#at = at;
  }

  /** The member as it is; own members only, so `__proto__` and `constructor` are plain names. */
  raw(key: string): unknown {
    return Object.hasOwn(this.#record, key) ? this.#record[key] : undefined;
  }

  entries(): [string, unknown][] {
    return Object.entries(this.#record);
  }

  text(key: string): string {
    return this.maybeText(key) ?? this.#fail(key, "text");
  }

  maybeText(key: string): string | null {
    const value = this.#present(key);
    if (value === null) return null;
    return typeof value === "string" ? value : this.#fail(key, "text");
  }

  number(key: string): number {
    return this.maybeNumber(key) ?? this.#fail(key, "a number");
  }

  /** Accepts digits as text too: 64-bit numbers may arrive that way. */
  maybeNumber(key: string): number | null {
    const value = this.#present(key);
    if (value === null) return null;
    if (typeof value === "number") return value;
    if (typeof value === "string" && value !== "" && Number.isFinite(Number(value))) return Number(value);
    return this.#fail(key, "a number");
  }

  flag(key: string): boolean {
    return this.#present(key) === true;
  }

  fields(key: string): Fields {
    return new Fields(this.raw(key), `${this.#at}.${key}`);
  }

  maybeFields(key: string): Fields | null {
    return this.#present(key) === null ? null : this.fields(key);
  }

  list<T>(key: string, read: (item: unknown, at: string) => T): T[] {
    const value = this.#present(key);
    if (value === null) return [];
    if (!Array.isArray(value)) return this.#fail(key, "a list");
    return value.map((item: unknown, index) => read(item, `${this.#at}.${key}[${index}]`));
  }

  /** The nodes of a GraphQL connection (`{edges: [{node}]}`); empty edges are skipped. */
  nodes<T>(key: string, read: (node: Fields) => T): T[] {
    const connection = this.maybeFields(key);
    if (connection === null) return [];
    return connection
      .list("edges", (edge, at) => new Fields(edge, at).maybeFields("node"))
      .flatMap((node) => (node === null ? [] : [read(node)]));
  }

  #present(key: string): unknown {
    return this.raw(key) ?? null;
  }

  #fail(key: string, wanted: string): never {
    throw new DecodeError(`unexpected answer: \`${this.#at}.${key}\` is not ${wanted}`);
  }
}

/** Text items of a list; anything else in it is an error. */
export function readText(value: unknown, at: string): string {
  if (typeof value !== "string") throw new DecodeError(`unexpected answer: \`${at}\` is not text`);
  return value;
}

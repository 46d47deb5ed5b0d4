/** What people type into a search field: a regular expression without regard to case, else plain text. */
export interface Matcher {
  readonly test: (text: string) => boolean;
  /** Set when the text is not a valid expression and is therefore matched as plain text. */
  readonly invalid: boolean;
}

export function matcherOf(query: string): Matcher {
  const text = query.trim();
  if (text === "") return { test: () => true, invalid: false };
  try {
    const pattern = new RegExp(text, "i");
    return { test: (candidate) => pattern.test(candidate), invalid: false };
  } catch {
    const plain = text.toLowerCase();
    return { test: (candidate) => candidate.toLowerCase().includes(plain), invalid: true };
  }
}

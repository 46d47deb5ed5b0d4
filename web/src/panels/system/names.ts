/** The words that all names begin with: said once. */
export function commonPrefix(names: readonly string[]): string {
  const [first = "", ...others] = names;
  const at = first.lastIndexOf(" ") + 1;
  const prefix = first.slice(0, at);
  const all = others.length > 0 && names.every((name) => name.startsWith(prefix) && name.length > at);
  return all ? prefix : "";
}

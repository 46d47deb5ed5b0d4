/** Which addresses in people's data may become links. */

/** The address, if following it can do no more than open a page or a mail; null for any other, such as `javascript:`. */
export function safeLink(address: string): string | null {
  try {
    const { protocol } = new URL(address);
    return ["http:", "https:", "mailto:"].includes(protocol) ? address : null;
  } catch {
    return null;
  }
}

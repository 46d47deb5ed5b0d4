/**
 * Console text with ANSI escapes → styled spans. Colours (16, 256, true colour) and weight are kept; cursor movement,
 * titles, links and other controls are dropped. A carriage return starts the line again, as a terminal shows it.
 */

/** A palette index 0…255 or an `#rrggbb` colour. */
export type AnsiColour = number | string;

export interface AnsiStyle {
  readonly fg: AnsiColour | null;
  readonly bg: AnsiColour | null;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
}

export interface AnsiSpan {
  readonly text: string;
  readonly style: AnsiStyle;
}

export const PLAIN: AnsiStyle = {
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what this module parses
const CSI = /\u001b\[([0-9;:?<=>]*)[ -/]*([@-~])/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above; a terminator may be missing in a line that was cut
const OSC = /\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const OTHER = /\u001b[ -/]*[0-~]?/;
const ESCAPE = new RegExp([CSI, OSC, OTHER].map((pattern) => pattern.source).join("|"), "g");
// biome-ignore lint/suspicious/noControlCharactersInRegex: controls other than tab are not text
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

/** Spans of one line, each line starting plain. */
export function parseAnsi(line: string): AnsiSpan[] {
  const spans: AnsiSpan[] = [];
  let style = PLAIN;
  let from = 0;
  const push = (raw: string) => {
    const text = raw.replace(CONTROL, "");
    if (text !== "") spans.push({ text, style });
  };
  const shown = lastOverwrite(line);
  for (const match of shown.matchAll(ESCAPE)) {
    push(shown.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") style = applyCodes(style, match[1] ?? "");
  }
  push(shown.slice(from));
  return spans;
}

/** The line without escapes, for search and download. */
export function stripAnsi(line: string): string {
  return lastOverwrite(line).replace(ESCAPE, "").replace(CONTROL, "");
}

/** `#rrggbb` of the entries 16…255 of the 256-colour palette; the first 16 belong to the theme. */
export function paletteColour(index: number): string {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return hex(grey, grey, grey);
  }
  const cube = index - 16;
  const level = (part: number) => (part === 0 ? 0 : 55 + part * 40);
  return hex(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function lastOverwrite(line: string): string {
  const trimmed = line.replace(/\r+$/, "");
  return trimmed.slice(trimmed.lastIndexOf("\r") + 1);
}

function applyCodes(before: AnsiStyle, codes: string): AnsiStyle {
  const numbers = codes.split(/[;:]/).map((code) => (code === "" ? 0 : Number(code)));
  let style = before;
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at] ?? 0;
    if (code === 38 || code === 48) {
      const { colour, used } = extendedColour(numbers.slice(at + 1));
      if (colour !== null) style = code === 38 ? { ...style, fg: colour } : { ...style, bg: colour };
      at += used;
    } else {
      style = applyCode(style, code);
    }
  }
  return style;
}

function applyCode(style: AnsiStyle, code: number): AnsiStyle {
  if (code >= 30 && code <= 37) return { ...style, fg: code - 30 };
  if (code >= 40 && code <= 47) return { ...style, bg: code - 40 };
  if (code >= 90 && code <= 97) return { ...style, fg: code - 82 };
  if (code >= 100 && code <= 107) return { ...style, bg: code - 92 };
  switch (code) {
    case 0:
      return PLAIN;
    case 1:
      return { ...style, bold: true };
    case 2:
      return { ...style, dim: true };
    case 3:
      return { ...style, italic: true };
    case 4:
      return { ...style, underline: true };
    case 7:
      return { ...style, inverse: true };
    case 22:
      return { ...style, bold: false, dim: false };
    case 23:
      return { ...style, italic: false };
    case 24:
      return { ...style, underline: false };
    case 27:
      return { ...style, inverse: false };
    case 39:
      return { ...style, fg: null };
    case 49:
      return { ...style, bg: null };
    default:
      return style;
  }
}

function extendedColour(rest: readonly number[]): { colour: AnsiColour | null; used: number } {
  const [kind, first = 0, second = 0, third = 0] = rest;
  if (kind === 5) return { colour: byte(first), used: 2 };
  if (kind === 2) return { colour: hex(byte(first), byte(second), byte(third)), used: 4 };
  return { colour: null, used: 0 };
}

function byte(value: number): number {
  return Number.isInteger(value) ? Math.min(255, Math.max(0, value)) : 0;
}

function hex(red: number, green: number, blue: number): string {
  return `#${[red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

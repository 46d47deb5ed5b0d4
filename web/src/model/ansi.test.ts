import { describe, expect, it } from "vitest";
import { PLAIN, paletteColour, parseAnsi, stripAnsi } from "./ansi";

const texts = (line: string) => parseAnsi(line).map((span) => span.text);

describe("parseAnsi", () => {
  it("styles the text between codes and starts every line plain", () => {
    expect(parseAnsi("a\u001b[1;31mb\u001b[0mc")).toEqual([
      { text: "a", style: PLAIN },
      { text: "b", style: { ...PLAIN, bold: true, fg: 1 } },
      { text: "c", style: PLAIN },
    ]);
  });

  it("reads bright, 256 and true colours, with semicolons and colons", () => {
    const colours = (line: string) => parseAnsi(line).map(({ style }) => [style.fg, style.bg]);
    expect(colours("\u001b[92mx")).toEqual([[10, null]]);
    expect(colours("\u001b[38;5;208;48;5;17mx")).toEqual([[208, 17]]);
    expect(colours("\u001b[38;2;255;0;16mx")).toEqual([["#ff0010", null]]);
    expect(colours("\u001b[38:5:208mx")).toEqual([[208, null]]);
    expect(colours("\u001b[31m\u001b[39mx")).toEqual([[null, null]]);
    expect(colours("\u001b[38;2;999;0;0mx")).toEqual([["#ff0000", null]]);
  });

  it("drops cursor movement, titles, links and stray controls", () => {
    const line = "\u001b[2K\u001b[1Ga\u001b]0;title\u0007b\u001b]8;;http://x\u001b\\c\u0008\u0000d\te";
    expect(texts(line)).toEqual(["a", "b", "cd\te"]);
    expect(stripAnsi("\u001b[2Ka\u001b]0;title\u0007b\u001b[31mc\u0008")).toBe("abc");
  });

  it("shows what a progress bar wrote last", () => {
    expect(stripAnsi("10%\r50%\r100%\r")).toBe("100%");
  });

  it("survives an escape that was cut off", () => {
    for (const line of ["a\u001b", "a\u001b[", "a\u001b[38;5", "a\u001b]0;t"])
      expect(texts(line)[0]).toBe("a");
  });

  it("leaves markup alone: it is text", () => {
    expect(texts("<script>alert(1)</script>")).toEqual(["<script>alert(1)</script>"]);
  });
});

it("paletteColour follows the colour cube and the grey ramp", () => {
  expect([16, 21, 196, 231, 232, 255].map(paletteColour)).toEqual([
    "#000000",
    "#0000ff",
    "#ff0000",
    "#ffffff",
    "#080808",
    "#eeeeee",
  ]);
});

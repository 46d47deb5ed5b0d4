import { describe, expect, it } from "vitest";
import {
  ExtendedJsonError,
  parseExtendedJson,
  parseExtendedObject,
  showExtendedJson,
  unwrapConfig,
} from "./extended-json";

describe("parseExtendedJson", () => {
  it("reads the bare tokens that Python writes", () => {
    expect(parseExtendedJson("[NaN, Infinity, -Infinity]")).toEqual([Number.NaN, Infinity, -Infinity]);
  });

  it("keeps names of object prototypes as data", () => {
    const value = parseExtendedObject('{"__proto__": 1, "constructor": {"toString": 2}}');
    expect([...value.keys()]).toEqual(["__proto__", "constructor"]);
    expect(value.get("__proto__")).toBe(1);
  });

  it("agrees with JSON.parse on strict JSON", () => {
    for (const text of [
      '"a\\u00e9\\n\\""',
      "-0.5e-3",
      "[]",
      "[1,[2,[3]]]",
      " true ",
      "null",
      '"\\ud83d\\ude00"',
    ]) {
      expect(parseExtendedJson(text)).toEqual(JSON.parse(text));
    }
  });

  it("keeps integers that a double cannot hold", () => {
    expect(parseExtendedJson("9007199254740993")).toBe(9007199254740993n);
    expect(parseExtendedJson("-9007199254740993")).toBe(-9007199254740993n);
    expect(parseExtendedJson("9007199254740991")).toBe(9007199254740991);
    expect(parseExtendedJson("1e300")).toBe(1e300);
  });

  it.each([
    "",
    "{",
    "[1,]",
    '{"a" 1}',
    "01",
    "nan",
    "'a'",
    '"a',
    '{"a":1} x',
    '"\u0001"',
    "-",
    "--1",
    "[1 2]",
  ])("refuses %j with a position", (text) => {
    expect(() => parseExtendedJson(text)).toThrow(ExtendedJsonError);
    expect(() => parseExtendedJson(text)).toThrow(/at position \d+/);
  });

  it("refuses nesting that would exhaust the stack", () => {
    expect(() => parseExtendedJson("[".repeat(100_000))).toThrow("nested too deeply");
  });
});

describe("parseExtendedObject", () => {
  it("takes null, blank text and other values as empty", () => {
    for (const text of [null, "", "  ", "[1]", "3"]) expect(parseExtendedObject(text).size).toBe(0);
  });
});

describe("unwrapConfig", () => {
  it("removes value wrappers and the internal block", () => {
    const config = unwrapConfig(
      parseExtendedObject('{"lr":{"value":NaN,"desc":null},"raw":3,"_wandb":{"value":{}}}'),
    );
    expect([...config]).toEqual([
      ["lr", Number.NaN],
      ["raw", 3],
    ]);
  });
});

describe("showExtendedJson", () => {
  it("writes values as they stood in the text", () => {
    expect(showExtendedJson(parseExtendedJson('{"a":[1,"x",NaN,null,true]}'))).toBe(
      '{"a": [1, "x", NaN, null, true]}',
    );
    expect(showExtendedJson("plain")).toBe("plain");
  });
});

import { expect, it } from "vitest";
import { joinNames, mergeSearch, parseSearchText, readSearch, splitNames, stringifySearch } from "./search";

it("reads the known members that are text and nothing else", () => {
  expect(readSearch({ q: "a", zoom: 3, evil: "x", sel: "" })).toEqual({ q: "a", sel: "" });
});

it("removes a member that is set to undefined", () => {
  expect(mergeSearch({ q: "a", m: "b" }, { q: undefined, x: "_runtime" })).toEqual({ m: "b", x: "_runtime" });
});

it("writes what it reads, with commas and slashes left legible", () => {
  const search = { sel: "a,b", panel: "train/loss", q: "a+b &c=%" };
  const text = stringifySearch(search);
  expect(text).toContain("sel=a,b");
  expect(text).toContain("panel=train/loss");
  expect(parseSearchText(text)).toEqual(search);
  expect(stringifySearch({})).toBe("");
});

it("keeps names apart that hold commas and percent signs", () => {
  const names = ["plain", "a,b", "100%", "ü"];
  expect(splitNames(joinNames(names))).toEqual(names);
  expect(splitNames("")).toEqual([]);
  expect(splitNames(undefined)).toEqual([]);
  expect(splitNames("100%")).toEqual(["100%"]);
});

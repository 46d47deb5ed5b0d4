import { describe, expect, it } from "vitest";
import { parseExtendedObject } from "../api/extended-json";
import { commonKeys } from "./columns";
import { storedValue } from "./stored";
import { flatten, treeRows } from "./tree";

const SUMMARY = parseExtendedObject(
  `{"samples":{"_type":"table-file","path":"media/table/samples_3_ab.table.json","nrows":10,"ncols":3,"size":294},
    "h":{"_type":"histogram","values":[1,2],"bins":[0,1,2]},
    "nested":{"image":{"_type":"image-file","path":"media/images/i.png","width":8,"height":4}},
    "big":{"_type":"bigint","value":"18446744073709551616"},
    "odd":{"_type":"molecule-file"},"broken":{"_type":"table-file","nrows":"x"},"plain":{"_type":5,"a":1},"loss":0.5}`,
);

describe("stored values", () => {
  it("are one line each, with the file that has the content", () => {
    const lines = ["samples", "h", "big", "odd", "broken", "plain", "loss"].map((key) =>
      storedValue(SUMMARY.get(key) ?? null),
    );
    expect(lines).toEqual([
      { text: "table · 10 × 3", file: "media/table/samples_3_ab.table.json" },
      { text: "histogram · 2 bins", file: null },
      { text: "18446744073709551616", file: null },
      { text: "molecule", file: null },
      { text: "table", file: null },
      null,
      null,
    ]);
  });

  it("are leaves of trees and one column of tables", () => {
    const rows = treeRows(SUMMARY, () => true);
    const found = (path: string) => rows.find((row) => row.path === path);
    expect(found("samples")).toMatchObject({ value: "table · 10 × 3", leaves: 1 });
    expect(found("nested.image")).toMatchObject({ value: "image · 8 × 4", file: "media/images/i.png" });
    expect(found("nested.image.width")).toBeUndefined();
    expect(found("loss")).toMatchObject({ value: "0.5", file: null });
    expect(flatten(SUMMARY).get("samples")).toBe(SUMMARY.get("samples"));
    expect(commonKeys([SUMMARY])).toContain("h");
    expect(commonKeys([SUMMARY])).not.toContain("h.bins");
  });
});

import { describe, expect, it } from "vitest";
import { orderedRows, readOrder, readTable, shownText, tableCsv, writeOrder } from "./table";

const TABLE = readTable(
  '{"columns": ["id", "score", "text", "img", "odd", "nested"], "data": [' +
    '[2, NaN, "b, \\"x\\"", "Image", 1, {"a": [1, null]}],' +
    '[10, 0.5, "=cmd()", "Image", "x", null],' +
    '[9007199254740993, null, "", "Image", true, [1, 2]],' +
    '[-1, -2.25, "<b>A</b>", "Image"]]}',
);

const places = (query: string, order: string | undefined) =>
  orderedRows(TABLE, query, readOrder(order, TABLE));

describe("readTable", () => {
  it("finds the type of each column", () => {
    expect(TABLE.columns.map((column) => column.type)).toEqual([
      "number",
      "number",
      "text",
      "media",
      "mixed",
      "mixed",
    ]);
  });

  it("takes a column of texts for texts, even where some are names of classes", () => {
    const data = readTable('{"columns": ["a", "b"], "data": [["Image", "x"], ["x", "Image"]]}');
    expect(data.columns.map((column) => column.type)).toEqual(["text", "text"]);
  });

  it.each([
    ['{"columns": ["a"]}', "not a table"],
    ['{"columns": ["a"], "data": [1]}', "row 0"],
    ['{"columns": ["a"], "data": [[1]', "position"],
    ["[]", "not a table"],
  ])("says what is wrong with %s", (text, message) => {
    expect(() => readTable(text)).toThrow(message);
  });

  it("keeps keys such as `__proto__` as data", () => {
    const data = readTable('{"columns": ["__proto__"], "data": [[{"__proto__": 1}]]}');
    expect(shownText(data.rows[0]?.[0])).toBe('{"__proto__": 1}');
  });
});

describe("orderedRows", () => {
  it("sorts numbers as numbers, with null and NaN at the end both ways", () => {
    expect(places("", "id")).toEqual([3, 0, 1, 2]);
    expect(places("", "-id")).toEqual([2, 1, 0, 3]);
    expect(places("", "score")).toEqual([3, 1, 0, 2]);
    expect(places("", "-score")).toEqual([1, 3, 0, 2]);
  });

  it("keeps the rows that match anywhere, also in nested values", () => {
    expect(places("<b>", undefined)).toEqual([3]);
    expect(places("\\[1, null", undefined)).toEqual([0]);
    expect(places("9007199254740993", undefined)).toEqual([2]);
    expect(places("nothing", undefined)).toEqual([]);
  });

  it("ignores an order by a column that is not there", () => {
    expect(places("", "gone")).toEqual([0, 1, 2, 3]);
    expect(writeOrder(readOrder("-score", TABLE), TABLE)).toBe("-score");
  });
});

it("shows whole numbers whole and others short", () => {
  expect([12345678, -3, 0.123456789, Number.NaN, null, undefined, true].map(shownText)).toEqual([
    "12345678",
    "−3",
    "0.123457",
    "NaN",
    "null",
    "",
    "true",
  ]);
});

it("writes CSV that no spreadsheet runs", () => {
  const data = readTable(
    '{"columns": ["@x", "y"], "data": [["=1+1", -5], ["+a", null], ["-b\\n", "\\"q\\""], ["@c", {"k": 1}], ["\\t=1", "\\r=1"]]}',
  );
  expect(tableCsv(data, [0, 1, 2, 3, 4])).toBe(
    '\'@x,y\r\n\'=1+1,-5\r\n\'+a,\r\n"\'-b\n","""q"""\r\n\'@c,"{""k"": 1}"\r\n\'\t=1,"\'\r=1"\r\n',
  );
});

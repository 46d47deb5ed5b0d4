/** A logged table: types of its columns, order and choice of its rows, and its text as CSV. */

import {
  type ExtendedJson,
  ExtendedJsonError,
  isExtendedObject,
  parseExtendedJson,
  showExtendedJson,
} from "../api/extended-json";
import { formatNumber } from "./format";
import { matcherOf } from "./search";
import { naturalOrder } from "./sections";

export type Cell = ExtendedJson | undefined;

export type ColumnType = "number" | "text" | "boolean" | "list" | "object" | "media" | "mixed" | "empty";

export interface TableColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** Width in pixels that suits what is in it. */
  readonly width: number;
}

export interface TableData {
  readonly columns: readonly TableColumn[];
  /** Cells by row; a short row lacks its last cells. */
  readonly rows: readonly (readonly ExtendedJson[])[];
}

export interface TableOrder {
  readonly column: number;
  readonly descending: boolean;
}

/** Names of classes that stand for media in a table's file: their bytes are in the artifact of the table. */
const MEDIA_CLASSES = new Set([
  "Image",
  "Audio",
  "Video",
  "Html",
  "Object3D",
  "Molecule",
  "Plotly",
  "Bokeh",
  "Graph",
  "Table",
]);

const MIN_WIDTH = 64;
const MAX_WIDTH = 320;
const CHARACTER_PIXELS = 7.6;
const PADDING_PIXELS = 28;
/** Room for the mark of the order in a head. */
const HEAD_PIXELS = 40;
/** Cells that a column's width is taken from. */
const MEASURED_ROWS = 200;

/** Reads a table file; throws {@link ExtendedJsonError} that says what is wrong. */
export function readTable(text: string): TableData {
  const document = parseExtendedJson(text);
  const columns = isExtendedObject(document) ? document.get("columns") : undefined;
  const data = isExtendedObject(document) ? document.get("data") : undefined;
  if (!isList(columns) || !isList(data)) {
    throw new ExtendedJsonError("the file is not a table: it has no list of `columns` and of rows as `data`");
  }
  const rows = data.map((row, index) => {
    if (!isList(row)) throw new ExtendedJsonError(`row ${index} of the table is not a list`);
    return row;
  });
  return {
    columns: columns.map((name, index) =>
      columnOf(typeof name === "string" ? name : showExtendedJson(name), rows, index),
    ),
    rows,
  };
}

function isList(value: Cell): value is readonly ExtendedJson[] {
  return Array.isArray(value);
}

function columnOf(name: string, rows: TableData["rows"], index: number): TableColumn {
  let longest = 0;
  for (const row of rows.slice(0, MEASURED_ROWS)) longest = Math.max(longest, shownText(row[index]).length);
  const wanted = Math.max(
    name.length * CHARACTER_PIXELS + HEAD_PIXELS,
    longest * CHARACTER_PIXELS + PADDING_PIXELS,
  );
  return {
    name,
    type: typeOf(rows, index),
    width: Math.round(Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, wanted))),
  };
}

/** The type that all cells share; null fits every one of them. */
function typeOf(rows: TableData["rows"], index: number): ColumnType {
  let found: ColumnType = "empty";
  for (const row of rows) {
    const type = cellType(row[index]);
    if (type === "empty" || type === found) continue;
    if (found === "empty") found = type;
    // some texts of a column may happen to be names of classes
    else if (TEXTS.has(found) && TEXTS.has(type)) found = "text";
    else return "mixed";
  }
  return found;
}

const TEXTS: ReadonlySet<ColumnType> = new Set<ColumnType>(["text", "media"]);

function cellType(cell: Cell): ColumnType {
  if (cell === null || cell === undefined) return "empty";
  if (typeof cell === "number" || typeof cell === "bigint") return "number";
  if (typeof cell === "boolean") return "boolean";
  if (typeof cell === "string") return MEDIA_CLASSES.has(cell) ? "media" : "text";
  return isList(cell) ? "list" : "object";
}

/** Text of a cell in the grid: short, on one line. */
export function shownText(cell: Cell): string {
  if (cell === undefined) return "";
  if (typeof cell === "number") {
    return Number.isSafeInteger(cell) ? String(cell).replace("-", "−") : formatNumber(cell, 6);
  }
  const text = typeof cell === "string" ? cell : showExtendedJson(cell);
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}

/** The whole value of a cell, as it stands in the file. */
export function exactText(cell: Cell): string {
  return cell === undefined ? "" : showExtendedJson(cell);
}

/** Places of the rows that match the search, in the order asked for; rows that are equal keep theirs. */
export function orderedRows(table: TableData, query: string, order: TableOrder | null): readonly number[] {
  const { test } = matcherOf(query);
  const all = query.trim() === "";
  const places: number[] = [];
  table.rows.forEach((row, place) => {
    if (all || row.some((cell) => test(exactText(cell)))) places.push(place);
  });
  if (order === null) return places;
  const sign = order.descending ? -1 : 1;
  const cell = (place: number) => table.rows[place]?.[order.column];
  return places.sort((a, b) => {
    const [one, other] = [cell(a), cell(b)];
    const [rank, otherRank] = [rankOf(one), rankOf(other)];
    // what has no order stands at the end, whichever way the rest is turned
    if (rank === LAST || otherRank === LAST) return rank - otherRank;
    return sign * (rank - otherRank || compare(one, other));
  });
}

const LAST = 9;

function rankOf(cell: Cell): number {
  if (cell === null || cell === undefined || Number.isNaN(cell)) return LAST;
  if (typeof cell === "number" || typeof cell === "bigint") return 0;
  return typeof cell === "boolean" ? 1 : 2;
}

function compare(a: Cell, b: Cell): number {
  if (isNumeric(a) && isNumeric(b)) return a < b ? -1 : a > b ? 1 : 0;
  return naturalOrder(exactText(a), exactText(b));
}

function isNumeric(cell: Cell): cell is number | bigint {
  return typeof cell === "number" || typeof cell === "bigint";
}

/** What spreadsheets take for a formula. */
const FORMULA = /^[=+\-@\t\r\n]/;

/**
 * Rows as CSV (RFC 4180). Text that a spreadsheet would run as a formula gets an apostrophe in front; null is an empty
 * field, nested values are JSON.
 */
export function tableCsv(table: TableData, places: readonly number[]): string {
  const head = table.columns.map(({ name }) => csvField(name));
  const body = places.map((place) => {
    const row = table.rows[place] ?? [];
    return table.columns.map((_, index) => csvField(row[index]));
  });
  return [head, ...body].map((fields) => `${fields.join(",")}\r\n`).join("");
}

function csvField(cell: Cell): string {
  if (cell === null || cell === undefined) return "";
  if (typeof cell !== "string") return quoted(showExtendedJson(cell));
  return quoted(FORMULA.test(cell) ? `'${cell}` : cell);
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** `name`, or `-name` for the largest first, as the address has it. */
export function readOrder(text: string | undefined, table: TableData): TableOrder | null {
  if (text === undefined || text === "") return null;
  const descending = text.startsWith("-");
  const name = descending ? text.slice(1) : text;
  const column = table.columns.findIndex((each) => each.name === name);
  return column < 0 ? null : { column, descending };
}

/** The order after a press on a column's head: smallest first, largest first, as logged. */
export function nextOrder(order: TableOrder | null, column: number): TableOrder | null {
  if (order?.column !== column) return { column, descending: false };
  return order.descending ? null : { column, descending: true };
}

export function writeOrder(order: TableOrder | null, table: TableData): string | undefined {
  const name = order === null ? undefined : table.columns[order.column]?.name;
  return order === null || name === undefined ? undefined : `${order.descending ? "-" : ""}${name}`;
}

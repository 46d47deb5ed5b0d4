import { useDeferredValue, useMemo, useState } from "react";
import type { TableValue } from "../../../api/media";
import { Button } from "../../../kit/button";
import { Icon } from "../../../kit/icon";
import kit from "../../../kit/kit.module.css";
import { Notice } from "../../../kit/notice";
import { SearchField } from "../../../kit/search-field";
import { matcherOf } from "../../../model/search";
import {
  exactText,
  nextOrder,
  orderedRows,
  readOrder,
  type TableData,
  tableCsv,
  writeOrder,
} from "../../../model/table";
import { CellDetail } from "./cell-detail";
import { DataGrid } from "./data-grid";
import type { CellPlace } from "./grid-row";
import css from "./table.module.css";
import type { TableViewState } from "./view-state";

interface TableViewProps {
  readonly data: TableData;
  readonly value: TableValue;
  readonly metric: string;
  readonly url: string;
  readonly view: TableViewState;
}

/** A table with a filter, an order, downloads, and a pane for a cell that is too long for its place. */
export function TableView({ data, value, metric, url, view }: TableViewProps) {
  const [open, setOpen] = useState<CellPlace | null>(null);
  const query = useDeferredValue(view.query);
  const order = useMemo(() => readOrder(view.order, data), [view.order, data]);
  const places = useMemo(() => orderedRows(data, query, order), [data, query, order]);
  const detail = open === null ? undefined : data.columns[open.column];
  return (
    <div className={css.view}>
      <div className={css.toolbar}>
        <SearchField
          label="Filter rows (regex)"
          value={view.query}
          onChange={view.setQuery}
          invalid={matcherOf(view.query).invalid}
        />
        <p role="status">{countText(data, value, places.length)}</p>
        <Button
          title="Rows that are shown, as CSV"
          onClick={() => saveText(tableCsv(data, places), `${baseName(metric)}.csv`)}
        >
          <Icon name="download" /> CSV
        </Button>
        <a className={kit.button} href={`${url}?download=1`} download title="The file as it was logged">
          <Icon name="download" /> JSON
        </a>
      </div>
      {data.rows.length === 0 ? (
        <Notice compact title="No rows">
          The table has{" "}
          {data.columns.length === 0 ? "neither columns nor rows" : `columns only: ${namesOf(data)}`}.
        </Notice>
      ) : places.length === 0 ? (
        <Notice compact title="No row matches">
          No cell matches “{query}”.
        </Notice>
      ) : (
        <DataGrid
          label={metric}
          data={data}
          places={places}
          order={order}
          onOrder={(column) => view.setOrder(writeOrder(nextOrder(order, column), data))}
          onOpen={setOpen}
        />
      )}
      {open !== null && detail !== undefined && (
        <CellDetail
          title={`${detail.name}, row ${open.row}`}
          text={exactText(data.rows[open.row]?.[open.column])}
          onClose={() => setOpen(null)}
        />
      )}
    </div>
  );
}

/** How many rows there are, and how many of them one sees. */
function countText(data: TableData, { rows, increment }: TableValue, matching: number): string {
  const count = (number: number) => number.toLocaleString("en-US");
  const held = data.rows.length;
  const all = `${count(held)} ${held === 1 ? "row" : "rows"}`;
  const columns = `${count(data.columns.length)} ${data.columns.length === 1 ? "column" : "columns"}`;
  if (matching < held) return `${count(matching)} of ${count(held)} rows match · ${columns}`;
  // an increment counts the rows of all that were logged up to it
  if (increment !== null) return `${all}, increment ${increment + 1} · ${columns}`;
  if (rows !== null && rows > held) return `First ${count(held)} of ${count(rows)} rows · ${columns}`;
  return `${all} · ${columns}`;
}

function namesOf({ columns }: TableData): string {
  return columns.map(({ name }) => name).join(", ");
}

/** The last part of a key, as a name that every file system takes. */
function baseName(metric: string): string {
  return metric.slice(metric.lastIndexOf("/") + 1).replace(/[^\w.-]+/g, "_") || "table";
}

/** How long a text that is being saved is kept. */
const SAVE_MILLIS = 60_000;

function saveText(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // the browser reads it after this; one that is asked where to save it, later still
  setTimeout(() => URL.revokeObjectURL(url), SAVE_MILLIS);
}

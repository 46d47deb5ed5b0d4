import { Link } from "@tanstack/react-router";
import {
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  type SortingState,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef } from "react";
import { showExtendedJson } from "../../api/extended-json";
import type { RunRecord } from "../../api/runs";
import { useTheme } from "../../app/theme";
import { useSearchState } from "../../app/use-search-state";
import { moveByArrows } from "../../kit/arrow-keys";
import { RunState } from "../../kit/run-state";
import { runColour } from "../../model/colour";
import { type CellValue, commonKeys, compareCells } from "../../model/columns";
import { formatAgo, formatDuration, formatNumber } from "../../model/format";
import { storedValue } from "../../model/stored";
import { flatten } from "../../model/tree";
import css from "./table.module.css";

const ROW_PIXELS = 32;

interface TableRow extends RunRecord {
  readonly configCells: ReadonlyMap<string, CellValue>;
  readonly summaryCells: ReadonlyMap<string, CellValue>;
}

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() });
const helper = createColumnHelper<typeof features, TableRow>();

interface RunsTableProps {
  readonly entity: string;
  readonly project: string;
  readonly rows: readonly RunRecord[];
}

/** Virtual rows; a click on a column's head sorts, and the order lives in the URL. */
export function RunsTable({ entity, project, rows }: RunsTableProps) {
  const [search, change] = useSearchState();
  const scroller = useRef<HTMLDivElement>(null);
  const data = useMemo(
    () =>
      rows.map(
        (row): TableRow => ({ ...row, configCells: flatten(row.config), summaryCells: flatten(row.summary) }),
      ),
    [rows],
  );
  const columns = useMemo(() => columnsOf(entity, project, rows), [entity, project, rows]);
  const sorting = useMemo(() => readSorting(search.sort), [search.sort]);
  const table = useTable({
    features,
    columns,
    data,
    state: { sorting },
    onSortingChange: (updater) => {
      const [first] = typeof updater === "function" ? updater(sorting) : updater;
      change({ sort: first === undefined ? undefined : `${first.desc ? "-" : ""}${first.id}` });
    },
    enableMultiSort: false,
    getRowId: (row) => row.name,
  });
  const sorted = table.getRowModel().rows;
  const virtual = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PIXELS,
    overscan: 12,
  });
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    <div ref={scroller} className={css.scroller}>
      <table className={css.table}>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id}>
              {group.headers.map((header) => (
                <th
                  key={header.id}
                  aria-sort={ariaSort(header.column.getIsSorted())}
                  title={header.column.id}
                >
                  <button type="button" onClick={header.column.getToggleSortingHandler()}>
                    <table.FlexRender header={header} />
                  </button>
                </th>
              ))}
            </tr>
          ))}
        </thead>
        <tbody onKeyDown={moveByArrows}>
          {before > 0 && <tr style={{ height: before }} />}
          {items.map((item) => {
            const row = sorted[item.index];
            if (row === undefined) return null;
            return (
              <tr key={row.id}>
                {row.getAllCells().map((cell) => (
                  <td key={cell.id}>
                    <table.FlexRender cell={cell} />
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 && <tr style={{ height: after }} />}
        </tbody>
      </table>
    </div>
  );
}

function columnsOf(entity: string, project: string, rows: readonly RunRecord[]) {
  const order = {
    sortUndefined: "last" as const,
    sortFn: (a: CellRow, b: CellRow, id: string) => compareCells(a.getValue(id), b.getValue(id)),
  };
  return helper.columns([
    helper.accessor("displayName", {
      header: "Name",
      ...order,
      cell: ({ row }) => <NameCell entity={entity} project={project} run={row.original} />,
    }),
    helper.accessor("state", {
      header: "State",
      ...order,
      cell: ({ getValue }) => <RunState state={getValue()} />,
    }),
    helper.accessor("createdAt", {
      header: "Started",
      ...order,
      cell: ({ getValue }) => formatAgo(getValue(), Date.now()),
    }),
    helper.accessor((row) => row.runtimeSeconds ?? undefined, {
      id: "runtime",
      header: "Runtime",
      ...order,
      cell: ({ getValue }) => {
        const seconds = getValue();
        return (
          <span className={css.number}>
            {seconds === undefined ? "" : formatDuration(Math.round(seconds))}
          </span>
        );
      },
    }),
    helper.accessor((row) => row.tags.join(", "), { id: "tags", header: "Tags", ...order }),
    ...commonKeys(rows.map((row) => row.config)).map((key) =>
      helper.accessor((row) => row.configCells.get(key), {
        id: `config.${key}`,
        header: () => <ColumnHead kind="config" name={key} />,
        ...order,
        cell: ({ row }) => <Cell value={row.original.configCells.get(key)} />,
      }),
    ),
    ...commonKeys(rows.map((row) => row.summary)).map((key) =>
      helper.accessor((row) => row.summaryCells.get(key), {
        id: `summary.${key}`,
        header: () => <ColumnHead kind="summary" name={key} />,
        ...order,
        cell: ({ row }) => <Cell value={row.original.summaryCells.get(key)} />,
      }),
    ),
  ]);
}

/** Config and summary often share names, so their columns say which they are. */
function ColumnHead({ kind, name }: { readonly kind: "config" | "summary"; readonly name: string }) {
  return (
    <>
      <small>{kind}</small> {name}
    </>
  );
}

interface CellRow {
  readonly getValue: (id: string) => CellValue;
}

interface NameCellProps {
  readonly entity: string;
  readonly project: string;
  readonly run: RunRecord;
}

function NameCell({ entity, project, run }: NameCellProps) {
  const theme = useTheme();
  return (
    <span className={css.name}>
      <i style={{ background: runColour(run.name, theme) }} />
      <Link to="/$entity/$project/runs/$run" params={{ entity, project, run: run.name }} title={run.name}>
        {run.displayName}
      </Link>
    </span>
  );
}

function Cell({ value }: { readonly value: CellValue }) {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return <span className={css.number}>{formatNumber(value)}</span>;
  return <>{storedValue(value)?.text ?? showExtendedJson(value)}</>;
}

function readSorting(text: string | undefined): SortingState {
  if (text === undefined || text === "") return [];
  return text.startsWith("-") ? [{ id: text.slice(1), desc: true }] : [{ id: text, desc: false }];
}

function ariaSort(direction: false | "asc" | "desc") {
  if (direction === false) return "none";
  return direction === "asc" ? "ascending" : "descending";
}

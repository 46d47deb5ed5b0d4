import { defaultRangeExtractor, type Range, useVirtualizer, type VirtualItem } from "@tanstack/react-virtual";
import { type KeyboardEvent, useCallback, useEffect, useId, useRef, useState } from "react";
import type { Cell, ColumnType, TableData, TableOrder } from "../../../model/table";
import { type CellPlace, GridRow, NUMBER_PIXELS } from "./grid-row";
import css from "./table.module.css";

const ROW_PIXELS = 28;
const NO_VALUES: readonly Cell[] = [];

interface DataGridProps {
  readonly label: string;
  readonly data: TableData;
  /** Rows in the order in which they are shown. */
  readonly places: readonly number[];
  readonly order: TableOrder | null;
  readonly onOrder: (column: number) => void;
  readonly onOpen: (cell: CellPlace) => void;
}

/** Cells of a table; only those on the screen exist. Arrow keys walk, enter opens the whole value. */
export function DataGrid({ label, data, places, order, onOrder, onOpen }: DataGridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const id = useId();
  const [active, setActive] = useState<readonly [line: number, column: number]>([0, 0]);
  const line = Math.min(active[0], places.length - 1);
  const column = Math.min(active[1], data.columns.length - 1);
  const rows = useVirtualizer({
    count: places.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PIXELS,
    overscan: 8,
    rangeExtractor: useCallback((range: Range) => indexesWith(range, line), [line]),
    scrollPaddingStart: ROW_PIXELS,
  });
  const columns = useVirtualizer({
    horizontal: true,
    count: data.columns.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => data.columns[index]?.width ?? 0,
    overscan: 3,
    rangeExtractor: useCallback((range: Range) => indexesWith(range, column), [column]),
    scrollPaddingStart: NUMBER_PIXELS,
  });
  const measured = useRef(data);
  useEffect(() => {
    // tables of other steps may have other columns
    if (measured.current !== data) columns.measure();
    measured.current = data;
  });
  const cells = columns.getVirtualItems();
  const width = columns.getTotalSize() + NUMBER_PIXELS;
  const go = (nextLine: number, nextColumn: number) => {
    const target = [clamp(nextLine, places.length), clamp(nextColumn, data.columns.length)] as const;
    setActive(target);
    rows.scrollToIndex(target[0]);
    columns.scrollToIndex(target[1]);
  };
  const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / ROW_PIXELS) - 2);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== scroller.current) return;
    if (event.key === "Enter" || event.key === " ") {
      const row = places[line];
      if (row !== undefined) onOpen({ row, column });
    } else {
      const target = keyTarget(event, line, column, page, places.length - 1);
      if (target === null) return;
      go(...target);
    }
    event.preventDefault();
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table element cannot leave out the cells that are off the screen
    <div
      ref={scroller}
      className={css.grid}
      role="grid"
      aria-label={label}
      aria-rowcount={places.length + 1}
      aria-colcount={data.columns.length + 1}
      aria-activedescendant={`${id}-${line}-${column}`}
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div className={css.sheet} style={{ width, height: rows.getTotalSize() + ROW_PIXELS }}>
        <Head data={data} cells={cells} order={order} onOrder={onOrder} />
        {rows.getVirtualItems().map((item) => {
          const row = places[item.index];
          if (row === undefined) return null;
          return (
            <GridRow
              key={item.key}
              id={id}
              line={item.index}
              top={item.start + ROW_PIXELS}
              row={row}
              values={data.rows[row] ?? NO_VALUES}
              columns={data.columns}
              cells={cells}
              active={item.index === line ? column : -1}
              onActive={setActive}
              onOpen={onOpen}
            />
          );
        })}
      </div>
    </div>
  );
}

interface HeadProps {
  readonly data: TableData;
  readonly cells: readonly VirtualItem[];
  readonly order: TableOrder | null;
  readonly onOrder: (column: number) => void;
}

function Head({ data, cells, order, onOrder }: HeadProps) {
  return (
    // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: as the grid
    <div role="row" aria-rowindex={1} className={css.head}>
      {/* biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: as the grid */}
      <div role="columnheader" aria-colindex={1} aria-label="Row" className={css.number} />
      {cells.map((cell) => {
        const column = data.columns[cell.index];
        if (column === undefined) return null;
        const direction =
          order?.column === cell.index ? (order.descending ? "descending" : "ascending") : "none";
        return (
          // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: as the grid
          <div
            key={cell.index}
            role="columnheader"
            aria-colindex={cell.index + 2}
            aria-sort={direction}
            className={css.column}
            style={{ left: cell.start + NUMBER_PIXELS, width: cell.size }}
            data-right={column.type === "number"}
          >
            <button
              type="button"
              title={`${column.name} (${TYPE_NAMES[column.type]})`}
              onClick={() => onOrder(cell.index)}
            >
              {column.name === "" ? " " : column.name}
            </button>
          </div>
        );
      })}
    </div>
  );
}

const TYPE_NAMES: Readonly<Record<ColumnType, string>> = {
  number: "numbers",
  text: "text",
  boolean: "true or false",
  list: "lists",
  object: "nested values",
  media: "media, in the artifact of the table",
  mixed: "several types",
  empty: "no values",
};

/** What is on the screen, and the place that the keys are at: assistive technology reads it wherever the screen is. */
function indexesWith(range: Range, active: number): number[] {
  const indexes = defaultRangeExtractor(range);
  if (active < 0 || active >= range.count || indexes.includes(active)) return indexes;
  return [...indexes, active].sort((a, b) => a - b);
}

function clamp(index: number, count: number): number {
  return Math.min(count - 1, Math.max(0, index));
}

function keyTarget(
  { key, ctrlKey, metaKey }: KeyboardEvent,
  line: number,
  column: number,
  page: number,
  last: number,
): readonly [number, number] | null {
  const far = ctrlKey || metaKey;
  switch (key) {
    case "ArrowDown":
      return [far ? last : line + 1, column];
    case "ArrowUp":
      return [far ? 0 : line - 1, column];
    case "ArrowRight":
      return [line, far ? Number.MAX_SAFE_INTEGER : column + 1];
    case "ArrowLeft":
      return [line, far ? 0 : column - 1];
    case "PageDown":
      return [line + page, column];
    case "PageUp":
      return [line - page, column];
    case "Home":
      return [far ? 0 : line, 0];
    case "End":
      return [far ? last : line, Number.MAX_SAFE_INTEGER];
    default:
      return null;
  }
}

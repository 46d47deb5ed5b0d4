import type { VirtualItem } from "@tanstack/react-virtual";
import { memo } from "react";
import { type Cell, type ColumnType, shownText, type TableColumn } from "../../../model/table";
import css from "./table.module.css";

/** Width of the column of row numbers. */
export const NUMBER_PIXELS = 64;

/** A cell of the file: row as logged, column as logged. */
export interface CellPlace {
  readonly row: number;
  readonly column: number;
}

interface GridRowProps {
  /** Beginning of the ids of cells. */
  readonly id: string;
  /** Place among the rows shown. */
  readonly line: number;
  readonly top: number;
  readonly row: number;
  readonly values: readonly Cell[];
  readonly columns: readonly TableColumn[];
  /** Columns on the screen. */
  readonly cells: readonly VirtualItem[];
  /** Column of the cell that the keys are at; -1 in all other rows. */
  readonly active: number;
  readonly onActive: (place: readonly [line: number, column: number]) => void;
  readonly onOpen: (cell: CellPlace) => void;
}

/** A row of the grid; rows that stay on the screen are not drawn again while it scrolls. */
export const GridRow = memo(function GridRow(props: GridRowProps) {
  const { id, line, top, row, values, columns, cells, active, onActive, onOpen } = props;
  return (
    // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: as the grid, which has the focus
    <div
      role="row"
      aria-rowindex={line + 2}
      className={css.row}
      style={{ transform: `translateY(${top}px)` }}
    >
      {/* biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive: as the grid, which has the focus */}
      <div role="rowheader" aria-colindex={1} className={css.number}>
        {row}
      </div>
      {cells.map((cell) => {
        const value = values[cell.index];
        const type = columns[cell.index]?.type;
        return (
          // biome-ignore lint/a11y/useSemanticElements lint/a11y/useFocusableInteractive lint/a11y/useKeyWithClickEvents: as the grid, which has the focus and takes the keys
          <div
            key={cell.index}
            id={`${id}-${line}-${cell.index}`}
            role="gridcell"
            aria-colindex={cell.index + 2}
            aria-selected={cell.index === active}
            className={css.cell}
            data-look={lookOf(value, type)}
            data-right={isRight(value, type)}
            style={{ left: cell.start + NUMBER_PIXELS, width: cell.size }}
            onClick={() => onActive([line, cell.index])}
            onDoubleClick={() => onOpen({ row, column: cell.index })}
          >
            {shownText(value)}
          </div>
        );
      })}
    </div>
  );
});

/** Numbers stand at the right, and what stands among numbers. */
function isRight(value: Cell, type: ColumnType | undefined): boolean {
  return type === "number" || typeof value === "number" || typeof value === "bigint";
}

function lookOf(value: Cell, type: ColumnType | undefined): string | undefined {
  if (value === null || Number.isNaN(value)) return "none";
  if (type === "media") return "media";
  return typeof value === "object" ? "nested" : undefined;
}

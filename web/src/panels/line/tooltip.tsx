import type { XAxis } from "../../api/series";
import type { Hover } from "../../charts/plot";
import { RunSwatch } from "../../kit/run-swatch";
import { formatDuration, formatNumber } from "../../model/format";
import { formatMeasure, type Measure } from "../../model/measure";
import css from "./line.module.css";

/** Rows of the tooltip before it only says how many more there are. */
const MAX_ROWS = 8;

interface LineTooltipProps {
  readonly hover: Hover;
  readonly xAxis: XAxis;
  readonly measure: Measure;
}

/** Values of the lines at the pointer; the nearest line always among them. */
export function LineTooltip({ hover, xAxis, measure }: LineTooltipProps) {
  const { rows, nearest } = hover;
  if (rows.length === 0) return null;
  const at = nearest === null ? -1 : rows.indexOf(nearest);
  const start = Math.max(0, Math.min(at - Math.floor(MAX_ROWS / 2), rows.length - MAX_ROWS));
  const shown = rows.slice(start, start + MAX_ROWS);
  const main = rows[at] ?? rows[0];
  const style = { left: `clamp(-40px, ${hover.left + 16}px, calc(100% - 200px))`, ...vertical(hover) };
  return (
    <div className={css.tooltip} style={style} aria-hidden="true">
      <header>{main === undefined ? "" : xText(main.x, xAxis)}</header>
      {shown.map((row) => (
        <div key={row.id} className={css.row} data-nearest={row === nearest}>
          <RunSwatch colour={row.colour} dash={row.dash} />
          <span>{row.name}</span>
          <b>{formatMeasure(row.value, measure, measure.unit === "number" ? 5 : 4)}</b>
          {row.count > 1 && row === main && (
            <small>
              {formatMeasure(row.min, measure)} … {formatMeasure(row.max, measure)} · {row.count} points
            </small>
          )}
        </div>
      ))}
      {rows.length > shown.length && <footer>{rows.length - shown.length} more</footer>}
    </div>
  );
}

/** Below the pointer in the upper half of the plot, above it in the lower half. */
function vertical({ top, height }: Hover) {
  return top < height / 2 ? { top: top + 16 } : { bottom: height - top + 16 };
}

function xText(x: number, axis: XAxis): string {
  if (axis === "_runtime") return formatDuration(x);
  if (axis === "_timestamp") {
    return new Date(x * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  }
  return `Step ${formatNumber(x, 12)}`;
}

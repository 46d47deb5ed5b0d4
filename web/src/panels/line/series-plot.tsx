import { useEffect, useMemo, useRef, useState } from "react";
import type { Range } from "../../api/series";
import { plotThemeOf, useTheme } from "../../app/theme";
import type { PlotFrame } from "../../charts/frame";
import { type Hover, Plot } from "../../charts/plot";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { hoveredGroup } from "../../model/hover";
import type { Measure } from "../../model/measure";
import { lineFrame } from "./draw";
import css from "./line.module.css";
import type { LineSettings } from "./schema";
import { BUCKETS, CELLS, type LineSource, useLineData } from "./sources";
import { LineTooltip } from "./tooltip";

interface SeriesPlotProps {
  /** Should be the same array while nothing in it changes. */
  readonly sources: readonly LineSource[];
  readonly settings: LineSettings;
  /** Unit of the values. */
  readonly measure: Measure;
  /** Plots with the same key share their cursor. */
  readonly syncKey: string;
  /** Lines over values, or a row of cells for each. */
  readonly look?: PlotFrame["look"];
  /** What it means that there is nothing to draw. */
  readonly empty: string;
  readonly onZoom: (range: Range | null) => void;
}

/** Loads and draws series as lines; says so while loading, when there is nothing and when it failed. */
export function SeriesPlot({
  sources,
  settings,
  measure,
  syncKey,
  look = "lines",
  empty,
  onZoom,
}: SeriesPlotProps) {
  const theme = useTheme();
  const data = useLineData(sources, settings, look === "lines" ? BUCKETS : CELLS);
  const { loaded } = data;
  const frame = useMemo(
    () => lineFrame(loaded, settings, measure, look, plotThemeOf(theme)),
    [loaded, settings, measure, look, theme],
  );
  if (data.error !== null && loaded.length === 0) {
    return <Failure compact title="This chart could not be loaded" error={data.error} onRetry={data.retry} />;
  }
  if (data.pending) {
    return (
      <div className={css.loading}>
        <Skeleton height="100%" />
      </div>
    );
  }
  if (frame.lines.length === 0) {
    return (
      <Notice compact title="No points">
        {settings.zoom === null ? empty : "The zoomed range is empty."}
      </Notice>
    );
  }
  return (
    <>
      <PlotView frame={frame} syncKey={syncKey} onZoom={onZoom} onReset={() => onZoom(null)} />
      {data.refining && <span className={css.refining} role="status" aria-label="Loading details" />}
      {data.error !== null && (
        <button type="button" className={css.partial} onClick={data.retry} title={data.error.message}>
          Some lines could not be loaded. Try again
        </button>
      )}
    </>
  );
}

interface PlotViewProps {
  readonly frame: PlotFrame;
  readonly syncKey: string;
  readonly onZoom: (range: readonly [number, number]) => void;
  readonly onReset: () => void;
}

/** React's side of a {@link Plot}: one plot per element, updated in place. */
function PlotView({ frame, syncKey, onZoom, onReset }: PlotViewProps) {
  const root = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const latest = useRef({ frame, onZoom, onReset });
  const [hover, setHover] = useState<Hover | null>(null);

  useEffect(() => {
    latest.current = { frame, onZoom, onReset };
    plot.current?.update(frame);
  }, [frame, onZoom, onReset]);

  useEffect(() => {
    const element = root.current;
    if (element === null) return;
    const handlers = {
      onHover: (next: Hover | null) => {
        setHover(next);
        hoveredGroup.set(next?.nearest?.group ?? null);
      },
      onZoom: (range: readonly [number, number]) => latest.current.onZoom(range),
      onReset: () => latest.current.onReset(),
    };
    const created = new Plot(element, latest.current.frame, handlers, syncKey);
    plot.current = created;
    const stopHighlight = hoveredGroup.subscribe(() => created.highlight(hoveredGroup.get()));
    const sizes = new ResizeObserver(() => created.resize(element.clientWidth, element.clientHeight));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      stopHighlight();
      created.destroy();
      plot.current = null;
    };
  }, [syncKey]);

  return (
    <>
      <div ref={root} className={css.plot} data-lines={frame.lines.map((line) => line.id).join(" ")} />
      {hover !== null && <LineTooltip hover={hover} xAxis={frame.xAxis} measure={frame.measure} />}
    </>
  );
}

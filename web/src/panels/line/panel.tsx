import { useEffect, useMemo, useRef, useState } from "react";
import { plotThemeOf, useTheme } from "../../app/theme";
import type { PlotFrame } from "../../charts/frame";
import { type Hover, Plot } from "../../charts/plot";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { hoveredRun } from "../../model/hover";
import type { PanelProps } from "../types";
import { lineFrame } from "./draw";
import { useLineData } from "./fetch";
import css from "./line.module.css";
import type { LineSettings } from "./schema";
import { LineTooltip } from "./tooltip";

/** Loads and draws one metric of the runs; says so while loading, when there is nothing and when it failed. */
export function LinePanel({ path, runs, metric, settings, onChange }: PanelProps<LineSettings>) {
  const theme = useTheme();
  const data = useLineData(path, runs, metric, settings);
  const { loaded } = data;
  const frame = useMemo(() => {
    const ids = runs.map((run) => run.id);
    return lineFrame(loaded, ids, settings, theme, plotThemeOf(theme));
  }, [loaded, runs, settings, theme]);
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
    const why = settings.zoom === null ? "The runs shown have not logged it." : "The zoomed range is empty.";
    return (
      <Notice compact title="No points">
        {why}
      </Notice>
    );
  }
  return (
    <>
      <PlotView
        frame={frame}
        syncKey={`${path.entity}/${path.project} ${settings.xAxis}`}
        onZoom={(zoom) => onChange({ zoom }, "push")}
        onReset={() => onChange({ zoom: null }, "push")}
      />
      {data.refining && <span className={css.refining} role="status" aria-label="Loading details" />}
      {data.error !== null && (
        <button type="button" className={css.partial} onClick={data.retry} title={data.error.message}>
          Some runs could not be loaded. Try again
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
        hoveredRun.set(next?.nearest ?? null);
      },
      onZoom: (range: readonly [number, number]) => latest.current.onZoom(range),
      onReset: () => latest.current.onReset(),
    };
    const created = new Plot(element, latest.current.frame, handlers, syncKey);
    plot.current = created;
    const stopHighlight = hoveredRun.subscribe(() => created.highlight(hoveredRun.get()));
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
      {hover !== null && <LineTooltip hover={hover} xAxis={frame.xAxis} />}
    </>
  );
}

import { useQuery } from "@tanstack/react-query";
import { type PointerEvent, useEffect, useMemo, useRef, useState } from "react";
import { mediaValuesQuery } from "../../api/queries";
import type { RunPath } from "../../api/runs";
import { plotThemeOf, useTheme } from "../../app/theme";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { formatNumber } from "../../model/format";
import {
  densityOf,
  type HeatHit,
  type HeatMap,
  heatAt,
  heatMapOf,
  quantileOf,
  ticksOf,
} from "../../model/heat-map";
import css from "./media.module.css";

/** Histograms of a run that are drawn; more would be thinner than a pixel of a panel. */
const SAMPLES = 200;
/** Steps of the table that stands for the map; a screen reader reads them one by one. */
const TABLE_STEPS = 20;
/** Room for the axes, in CSS pixels. */
const AXES = { left: 52, bottom: 22, top: 6, right: 6 };
const LEAST_ALPHA = 0.08;

interface HistogramPanelProps {
  readonly path: RunPath;
  readonly metric: string;
}

/** The distribution of a key over the steps of the run. */
export function HistogramPanel({ path, metric }: HistogramPanelProps) {
  const loaded = useQuery(mediaValuesQuery(path, metric, SAMPLES));
  const map = useMemo(() => {
    const histograms = (loaded.data ?? []).flatMap(({ step, value }) =>
      value.kind === "histogram" ? [{ step, counts: value.counts, edges: value.edges }] : [],
    );
    return heatMapOf(histograms);
  }, [loaded.data]);
  if (loaded.data === undefined) {
    if (loaded.error !== null) {
      return (
        <Failure
          compact
          title="The histograms could not be shown"
          error={loaded.error}
          onRetry={() => void loaded.refetch()}
        />
      );
    }
    return (
      <div className={css.skeleton}>
        <Skeleton height="100%" />
      </div>
    );
  }
  if (map === null)
    return (
      <Notice compact title="No values">
        The histograms of this key are empty.
      </Notice>
    );
  return <HeatView map={map} metric={metric} />;
}

interface Pointed extends HeatHit {
  readonly x: number;
  readonly y: number;
}

function HeatView({ map, metric }: { readonly map: HeatMap; readonly metric: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useTheme();
  const [pointed, setPointed] = useState<Pointed | null>(null);
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const draw = () => drawMap(element, map, plotThemeOf(theme));
    const sizes = new ResizeObserver(draw);
    sizes.observe(element);
    return () => sizes.disconnect();
  }, [map, theme]);
  const onPointerMove = (event: PointerEvent<HTMLCanvasElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const across = (x - AXES.left) / (box.width - AXES.left - AXES.right);
    const up = 1 - (y - AXES.top) / (box.height - AXES.top - AXES.bottom);
    const [steps, values] = [map.steps, map.values];
    const hit = heatAt(
      map,
      steps[0] + across * (steps[1] - steps[0]),
      values[0] + up * (values[1] - values[0]),
    );
    setPointed(hit === null ? null : { ...hit, x, y });
  };
  const [first, last] = [map.columns[0], map.columns.at(-1)];
  const label = `Histograms of ${metric}, steps ${first?.step} to ${last?.step}, values ${formatNumber(map.values[0])} to ${formatNumber(map.values[1])}`;
  return (
    <div className={css.histogram}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={label}
        onPointerMove={onPointerMove}
        onPointerLeave={() => setPointed(null)}
      />
      <HeatTable map={map} metric={metric} />
      {pointed !== null && <Tip {...pointed} />}
    </div>
  );
}

/** What the map shows, in figures, for those who do not see it. */
function HeatTable({ map: { columns }, metric }: { readonly map: HeatMap; readonly metric: string }) {
  const count = Math.min(TABLE_STEPS, columns.length);
  const shown = Array.from({ length: count }, (_, at) =>
    count === 1 ? 0 : Math.round((at * (columns.length - 1)) / (count - 1)),
  );
  return (
    <div className="visually-hidden">
      <table aria-label={`Quantiles of ${metric}`}>
        <thead>
          <tr>
            <th>Step</th>
            <th>Values</th>
            <th>5 % below</th>
            <th>Median</th>
            <th>95 % below</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((at) => {
            const column = columns[at];
            if (column === undefined) return null;
            return (
              <tr key={column.step}>
                <th scope="row">{column.step}</th>
                <td>{formatNumber(column.total)}</td>
                <td>{formatNumber(quantileOf(column, 0.05), 4)}</td>
                <td>{formatNumber(quantileOf(column, 0.5), 4)}</td>
                <td>{formatNumber(quantileOf(column, 0.95), 4)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Tip({ column, bin, x, y }: Pointed) {
  const [low = 0, high = 0] = [column.edges[bin], column.edges[bin + 1]];
  const share = column.total === 0 ? 0 : (100 * (column.counts[bin] ?? 0)) / column.total;
  return (
    <div
      className={css.tip}
      style={{ left: `min(${x + 14}px, calc(100% - 180px))`, top: Math.max(0, y - 48) }}
    >
      <small>Step {column.step.toLocaleString("en-US")}</small>
      {formatNumber(low)} … {formatNumber(high)}: <b>{formatNumber(column.counts[bin] ?? 0)}</b> (
      {formatNumber(share, 3)} %)
    </div>
  );
}

function drawMap(canvas: HTMLCanvasElement, map: HeatMap, theme: ReturnType<typeof plotThemeOf>): void {
  const ratio = window.devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.scale(ratio, ratio);
  const [plotWidth, plotHeight] = [width - AXES.left - AXES.right, height - AXES.top - AXES.bottom];
  const xOf = (step: number) =>
    AXES.left + ((step - map.steps[0]) / (map.steps[1] - map.steps[0])) * plotWidth;
  const yOf = (value: number) =>
    AXES.top + (1 - (value - map.values[0]) / (map.values[1] - map.values[0])) * plotHeight;
  // cells end on the pixels of the screen: neither gaps nor overlaps show between them
  const whole = (at: number) => Math.round(at * ratio) / ratio;
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  context.lineWidth = 1;
  context.strokeStyle = theme.grid;
  context.fillStyle = theme.text;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const tick of ticksOf(map.values[0], map.values[1], plotHeight / 40)) {
    line(context, AXES.left, yOf(tick), AXES.left + plotWidth, yOf(tick));
    context.fillText(formatNumber(tick, 4), AXES.left - 8, yOf(tick));
  }
  context.textAlign = "center";
  const lastStep = map.columns.at(-1)?.step ?? 0;
  for (const tick of ticksOf(map.columns[0]?.step ?? 0, lastStep, plotWidth / 80).filter(Number.isInteger)) {
    context.fillText(formatNumber(tick, 6), xOf(tick), height - AXES.bottom / 2);
  }
  context.fillStyle = theme.accent;
  for (const column of map.columns) {
    const [left, right] = [whole(xOf(column.from)), whole(xOf(column.until))];
    column.counts.forEach((count, bin) => {
      if (count === 0) return;
      const [bottom, top] = [whole(yOf(column.edges[bin] ?? 0)), whole(yOf(column.edges[bin + 1] ?? 0))];
      // the eye sees shares by their root: thin tails stay visible
      const shade = Math.sqrt(densityOf(column, bin) / map.densest);
      context.globalAlpha = LEAST_ALPHA + (1 - LEAST_ALPHA) * shade;
      context.fillRect(left, top, Math.max(1 / ratio, right - left), Math.max(1 / ratio, bottom - top));
    });
  }
  context.globalAlpha = 1;
}

function line(
  context: CanvasRenderingContext2D,
  fromX: number,
  fromY: number,
  toX: number,
  toY: number,
): void {
  context.beginPath();
  context.moveTo(fromX, Math.round(fromY) + 0.5);
  context.lineTo(toX, Math.round(toY) + 0.5);
  context.stroke();
}

import type { Range, XAxis } from "../../api/series";
import type { Band } from "../../charts/frame";
import type { SettingsSchema } from "../types";

export interface LineSettings {
  readonly xAxis: XAxis;
  readonly zoom: Range | null;
  readonly logY: boolean;
  /** Weight of the moving average, 0 (off) up to 0.99. */
  readonly smoothing: number;
  readonly band: Band;
}

export const MAX_SMOOTHING = 0.99;

const BANDS: readonly Band[] = ["always", "hover", "never"];
const X_AXES: readonly XAxis[] = ["_step", "_runtime", "_timestamp"];

export const lineSchema: SettingsSchema<LineSettings> = {
  read: (text) => ({
    xAxis: X_AXES.find((axis) => axis === text("x")) ?? "_step",
    zoom: readRange(text("zoom")),
    logY: text("logy") === "1",
    smoothing: readSmoothing(text("smooth")),
    band: BANDS.find((band) => band === text("band")) ?? "always",
  }),
  write: ({ xAxis, zoom, logY, smoothing, band }) => ({
    x: xAxis === "_step" ? undefined : xAxis,
    zoom: zoom === null ? undefined : zoom.map((bound) => String(Number(bound.toPrecision(12)))).join(","),
    logy: logY ? "1" : undefined,
    smooth: smoothing === 0 ? undefined : String(smoothing),
    band: band === "always" ? undefined : band,
  }),
};

function readRange(text: string | undefined): Range | null {
  const [low, high, ...rest] = (text ?? "")
    .split(",")
    .map((part) => (part === "" ? Number.NaN : Number(part)));
  if (low === undefined || high === undefined || rest.length > 0) return null;
  return Number.isFinite(low) && Number.isFinite(high) && low < high ? [low, high] : null;
}

function readSmoothing(text: string | undefined): number {
  const weight = Number(text ?? 0);
  return Number.isFinite(weight) && weight > 0 ? Math.min(weight, MAX_SMOOTHING) : 0;
}

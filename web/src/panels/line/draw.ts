import type { PlotFrame, PlotLine, PlotTheme } from "../../charts/frame";
import type { Measure } from "../../model/measure";
import { smoothExponential } from "../../model/smooth";
import type { LineSettings } from "./schema";
import type { LoadedLine } from "./sources";

/** Series and settings → what the plot draws. */
export function lineFrame(
  loaded: readonly LoadedLine[],
  settings: LineSettings,
  measure: Measure,
  look: PlotFrame["look"],
  theme: PlotTheme,
): PlotFrame {
  const lines = loaded
    .filter(({ series }) => series.x.length > 0)
    .map(({ source, series }): PlotLine => {
      const smooth = settings.smoothing > 0;
      const { id, group, name, colour, dash } = source;
      return {
        id,
        group,
        name,
        colour,
        dash,
        x: series.x,
        y: smooth ? smoothExponential(series.mean, settings.smoothing) : series.mean,
        faint: smooth ? series.mean : null,
        min: series.min,
        max: series.max,
        count: series.count,
        bucketed: !series.raw,
      };
    });
  const { xAxis, zoom, logY, band } = settings;
  return { lines, look, xAxis, range: zoom, logY, measure, band, theme };
}

import type { PlotFrame, PlotLine, PlotTheme } from "../../charts/frame";
import { dashesOf, runColour, type Theme } from "../../model/colour";
import { smoothExponential } from "../../model/smooth";
import type { RunSeries } from "./fetch";
import type { LineSettings } from "./schema";

/** Series and settings → what the plot draws. `runIds` are all runs of the view, so that dashes agree between panels. */
export function lineFrame(
  loaded: readonly RunSeries[],
  runIds: readonly string[],
  settings: LineSettings,
  theme: Theme,
  plotTheme: PlotTheme,
): PlotFrame {
  const dashes = dashesOf(runIds);
  const lines = loaded
    .filter(({ series }) => series.x.length > 0)
    .map(({ run, series }): PlotLine => {
      const smooth = settings.smoothing > 0;
      return {
        id: run.id,
        name: run.name,
        colour: runColour(run.id, theme),
        dash: dashes.get(run.id) ?? [],
        x: series.x,
        y: smooth ? smoothExponential(series.mean, settings.smoothing) : series.mean,
        faint: smooth ? series.mean : null,
        min: series.min,
        max: series.max,
        count: series.count,
        bucketed: !series.raw,
      };
    });
  return {
    lines,
    xAxis: settings.xAxis,
    range: settings.zoom,
    logY: settings.logY,
    band: settings.band,
    theme: plotTheme,
  };
}

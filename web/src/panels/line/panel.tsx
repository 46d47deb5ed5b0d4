import { useMemo } from "react";
import { useTheme } from "../../app/theme";
import { PLAIN } from "../../model/measure";
import type { PanelProps } from "../types";
import { runSources } from "./fetch";
import type { LineSettings } from "./schema";
import { SeriesPlot } from "./series-plot";

/** One metric of the runs, a line each. */
export function LinePanel({ path, runs, metric, settings, onChange }: PanelProps<LineSettings>) {
  const theme = useTheme();
  const sources = useMemo(() => runSources(path, runs, metric, theme), [path, runs, metric, theme]);
  return (
    <SeriesPlot
      sources={sources}
      settings={settings}
      measure={PLAIN}
      syncKey={`${path.entity}/${path.project} ${settings.xAxis}`}
      empty="The runs shown have not logged it."
      onZoom={(zoom) => onChange({ zoom }, "push")}
    />
  );
}

import { useMemo } from "react";
import type { RunPath } from "../../api/runs";
import { useTheme } from "../../app/theme";
import type { SystemPanel } from "../../model/system-sections";
import type { LineSettings } from "../line/schema";
import { SeriesPlot } from "../line/series-plot";
import { Legend } from "./legend";
import { deviceSources } from "./sources";
import css from "./system.module.css";

/** More lines than this are not told apart: they become rows of cells. */
const HEAT_FROM = 16;

interface DevicePanelProps {
  readonly path: RunPath;
  readonly panel: SystemPanel;
  readonly settings: LineSettings;
  readonly onZoom: (zoom: LineSettings["zoom"]) => void;
}

/** One thing that was measured of a run's machines: a line per device, host and process. */
export function DevicePanel({ path, panel, settings, onZoom }: DevicePanelProps) {
  const theme = useTheme();
  const sources = useMemo(() => deviceSources(path, path.run, panel, theme), [path, panel, theme]);
  const look =
    panel.lines.length > HEAT_FROM && panel.lines.every((line) => !line.process) ? "heat" : "lines";
  const lines = sources.map((source, at) => ({ ...source, process: panel.lines[at]?.process === true }));
  const left = panel.lines.length - sources.length;
  return (
    <div className={css.panel}>
      <div className={css.plot}>
        <SeriesPlot
          sources={sources}
          settings={settings}
          measure={panel.measure}
          syncKey={`${path.entity}/${path.project} ${settings.xAxis}`}
          look={look}
          empty={
            panel.counter ? "A rate needs two samples; the second is on its way." : "Nothing was sampled."
          }
          onZoom={onZoom}
        />
      </div>
      {lines.length > 1 && look === "lines" && <Legend lines={lines} />}
      {left > 0 && <p className={css.left}>{left} more are not drawn; pick a host or search to see them.</p>}
    </div>
  );
}

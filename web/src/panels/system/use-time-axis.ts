import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { seriesQuery } from "../../api/queries";
import type { ProjectPath } from "../../api/runs";
import type { Range } from "../../api/series";
import { linePanel } from "../line/line-panel";
import type { LineSettings } from "../line/schema";
import { usePanelSettings } from "../use-panel-settings";

export interface TimeAxis {
  /** Settings for plots over time: never over steps, never smoothed. */
  readonly settings: LineSettings;
  readonly onZoom: (zoom: Range | null) => void;
  readonly setAxis: (axis: "_runtime" | "_timestamp") => void;
}

/**
 * The x axis and zoom of the charts, as time: samples have no step. Charts over steps are shown over the relative time; the
 * range of time in which the run logged the steps that they are zoomed to takes the place of the zoom.
 */
export function useTimeAxis({ entity, project }: ProjectPath, run: string | null): TimeAxis {
  const { settings: own, onChange } = usePanelSettings(linePanel);
  const steps = own.xAxis === "_step" ? own.zoom : null;
  const times = useQuery({
    ...seriesQuery({
      entity,
      project,
      run: run ?? "",
      key: "_runtime",
      stream: "history",
      rate: false,
      x: "_step",
      range: steps,
      buckets: 1,
    }),
    enabled: steps !== null && run !== null,
    select: (series): Range | null => {
      const [low = Number.NaN] = series.min;
      const [high = Number.NaN] = series.max;
      return low < high ? [low, high] : null;
    },
  });
  const inTime = steps === null ? null : (times.data ?? null);
  const settings = useMemo(
    (): LineSettings => ({
      ...own,
      xAxis: own.xAxis === "_timestamp" ? "_timestamp" : "_runtime",
      zoom: own.xAxis === "_step" ? inTime : own.zoom,
      smoothing: 0,
      logY: false,
    }),
    [own, inTime],
  );
  const { xAxis } = settings;
  const onZoom = useCallback(
    // the charts follow: a zoom is in the unit of its axis
    (zoom: Range | null) => onChange(zoom === null ? { zoom } : { xAxis, zoom }, "push"),
    [onChange, xAxis],
  );
  const setAxis = useCallback(
    (axis: "_runtime" | "_timestamp") => onChange({ xAxis: axis, zoom: null }, "push"),
    [onChange],
  );
  return { settings, onZoom, setAxis };
}
